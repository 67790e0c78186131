# Gathers what this host says of its adapters, its TCP, SMB and Exchange. Changes nothing. Leaves one text file:
# tcptriage-facts-HOST.txt here. Needs PowerShell 2 or later. For Exchange run it in the Exchange Management Shell.
$out = "tcptriage-facts-$env:COMPUTERNAME.txt"

function Show($title, $command) {
    "=== $title ==="
    try { & $command 2>$null | Out-String -Width 300 } catch { }
    ""
}

# A command that this version of Windows has not is left out.
function ShowIf($name, $properties) {
    if (Get-Command $name -ErrorAction SilentlyContinue) {
        "=== $name | Format-List ==="
        try { & $name -ErrorAction SilentlyContinue | Format-List -Property $properties | Out-String -Width 300 } catch { }
        ""
    }
}

& {
    Show "hostname" { hostname }
    Show "ver" { cmd /c ver }
    Show "Get-WmiObject Win32_OperatingSystem" { Get-WmiObject Win32_OperatingSystem | Format-List Caption }
    Show "Get-WmiObject Win32_ComputerSystem" { Get-WmiObject Win32_ComputerSystem | Format-List Manufacturer, Model }
    Show "ipconfig" { ipconfig }
    Show "netsh int tcp show global" { netsh int tcp show global }
    Show "netsh int tcp show heuristics" { netsh int tcp show heuristics }
    Show "netsh int tcp show chimneystats" { netsh int tcp show chimneystats }
    Show "netsh int ipv4 show dynamicport tcp" { netsh int ipv4 show dynamicport tcp }
    Show "netstat -s -p tcp" { netstat -s -p tcp }
    Show "netstat -s -p tcpv6" { netstat -s -p tcpv6 }
    Show "reg query HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters" {
        reg query HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters
    }
    if (Get-Command Get-NetAdapter -ErrorAction SilentlyContinue) {
        ShowIf "Get-NetAdapter" @("Name", "InterfaceDescription", "DriverProvider", "DriverVersion", "DriverDate", "NdisVersion", "LinkSpeed", "FullDuplex", "MtuSize")
    } else {
        Show "Get-WmiObject Win32_PnPSignedDriver" {
            Get-WmiObject Win32_PnPSignedDriver -Filter "DeviceClass='NET'" |
                Format-List Description, DriverDate, DriverVersion, Manufacturer
        }
    }
    ShowIf "Get-NetAdapterStatistics" @("Name", "ReceivedDiscardedPackets", "ReceivedPacketErrors")
    ShowIf "Get-NetAdapterRss" @("Name", "Enabled", "NumberOfReceiveQueues")
    ShowIf "Get-NetAdapterVmq" @("Name", "Enabled", "BaseVmqProcessor")
    ShowIf "Get-NetAdapterRsc" @("Name", "IPv4Enabled", "IPv4OperationalState", "IPv4FailureReason")
    ShowIf "Get-NetAdapterLso" @("Name", "V1IPv4Enabled", "IPv4Enabled", "IPv6Enabled")
    ShowIf "Get-NetAdapterChecksumOffload" @("Name", "TcpIPv4Enabled", "TcpIPv6Enabled")
    ShowIf "Get-NetAdapterPowerManagement" @("Name", "AllowComputerToTurnOffDevice")
    ShowIf "Get-NetLbfoTeam" @("Name", "Members", "TeamingMode", "LoadBalancingAlgorithm", "Status")
    if (Get-Command Get-NetLbfoTeam -ErrorAction SilentlyContinue) {
        Show "Get-NetLbfoTeam | Measure-Object | Format-List Count" {
            @(Get-NetLbfoTeam -ErrorAction Stop) | Measure-Object | Format-List Count
        }
    }
    ShowIf "Get-NetLbfoTeamMember" @("Name", "Team", "AdministrativeMode", "OperationalStatus", "FailureReason")
    ShowIf "Get-NetOffloadGlobalSetting" @("ReceiveSideScaling", "ReceiveSegmentCoalescing", "Chimney", "TaskOffload")
    ShowIf "Get-NetTCPSetting" @("SettingName", "MinRtoMs", "CongestionProvider", "DelayedAckTimeoutMs", "AutoTuningLevelLocal", "AutoTuningLevelGroupPolicy", "AutoTuningLevelEffective", "EcnCapability", "Timestamps", "InitialRtoMs", "ScalingHeuristics", "MaxSynRetransmissions", "DynamicPortRangeStartPort", "DynamicPortRangeNumberOfPorts")
    ShowIf "Get-SmbConnection" @("ServerName", "Dialect", "Encrypted", "Signed")
    ShowIf "Get-SmbMultichannelConnection" @("ServerName", "ClientIpAddress", "ServerIpAddress", "CurrentChannels", "Failed", "FailureCount")
    ShowIf "Get-SmbServerConfiguration" @("EnableSMB1Protocol", "EnableMultiChannel", "RequireSecuritySignature", "EncryptData", "Smb2CreditsMax")
    ShowIf "Get-SmbClientConfiguration" @("EnableBandwidthThrottling", "RequireSecuritySignature")
    ShowIf "Get-ExchangeServer" @("Name", "AdminDisplayVersion")
    ShowIf "Get-ReceiveConnector" @("Identity", "ConnectionTimeout", "ConnectionInactivityTimeout", "MaxInboundConnection", "MaxInboundConnectionPerSource", "MaxInboundConnectionPercentagePerSource", "MessageRateLimit", "MessageRateSource", "TarpitInterval", "AuthTarpitInterval", "MaxAcknowledgementDelay", "MaxProtocolErrors", "TransportRole", "ProtocolLoggingLevel")
    ShowIf "Get-Queue" @("Identity", "DeliveryType", "NextHopDomain", "Status", "MessageCount", "LastError")
} | Out-File -FilePath $out -Encoding UTF8
"The facts are in $out"
