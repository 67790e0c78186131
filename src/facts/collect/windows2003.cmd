@echo off
rem Gathers what this host says of its adapters and its TCP. Changes nothing. Leaves one text file:
rem tcptriage-facts-HOST.txt here. For Windows Server 2003, where PowerShell may be missing.
set OUT=tcptriage-facts-%COMPUTERNAME%.txt
set KEY=HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters
> "%OUT%" echo === hostname ===
>> "%OUT%" hostname
>> "%OUT%" echo === ver ===
ver >> "%OUT%"
rem wmic writes UTF-16 to a file and waits for input: more and nul see to both.
>> "%OUT%" echo === wmic os get Caption /format:list ===
wmic os get Caption /format:list < nul | more >> "%OUT%"
>> "%OUT%" echo === wmic computersystem get Manufacturer,Model /format:list ===
wmic computersystem get Manufacturer,Model /format:list < nul | more >> "%OUT%"
>> "%OUT%" echo === wmic path win32_pnpsigneddriver get Description,DriverDate,DriverVersion,Manufacturer /format:list ===
wmic path win32_pnpsigneddriver where "DeviceClass='NET'" get Description,DriverDate,DriverVersion,Manufacturer /format:list < nul | more >> "%OUT%"
>> "%OUT%" echo === ipconfig ===
ipconfig >> "%OUT%"
>> "%OUT%" echo === reg query %KEY% ===
reg query %KEY% >> "%OUT%" 2>nul
>> "%OUT%" echo === netstat -s -p tcp ===
netstat -s -p tcp >> "%OUT%"
>> "%OUT%" echo === netsh int tcp show global ===
netsh int tcp show global >> "%OUT%" 2>nul
>> "%OUT%" echo === end ===
echo The facts are in %OUT%
