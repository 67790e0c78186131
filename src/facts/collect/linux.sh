#!/bin/sh
# Gathers what this host says of its adapters, its TCP, Postfix and Samba. Changes nothing. Leaves one text file:
# the argument, or tcptriage-facts-HOST.txt here. Run as root to see all counters of the adapters.
PATH=$PATH:/usr/sbin:/sbin
export PATH
LC_ALL=C
export LC_ALL
out=${1:-tcptriage-facts-$(uname -n).txt}

run() {
    command -v "$1" >/dev/null 2>&1 || return 0
    printf '=== %s ===\n' "$*"
    "$@" 2>/dev/null </dev/null
    printf '\n'
}

gather() {
    printf '=== hostname ===\n%s\n\n' "$(uname -n)"
    run uname -a
    run systemd-detect-virt --vm
    run ip -o addr
    for path in /sys/class/net/*; do
        adapter=${path##*/}
        [ "$adapter" = lo ] && continue
        [ -d "$path" ] || continue
        run ethtool "$adapter"
        run ethtool -i "$adapter"
        run ethtool -k "$adapter"
        run ethtool -S "$adapter"
    done
    printf '=== ls -A /proc/net/bonding | wc -l ===\n%s\n\n' "$(ls -A /proc/net/bonding 2>/dev/null | wc -l)"
    for path in /proc/net/bonding/*; do
        [ -r "$path" ] && run cat "$path"
    done
    run sysctl net.ipv4.tcp_rto_min_us net.ipv4.tcp_syn_retries net.ipv4.tcp_mtu_probing net.ipv4.tcp_ecn \
        net.ipv4.tcp_timestamps net.ipv4.tcp_sack net.ipv4.tcp_window_scaling net.ipv4.tcp_keepalive_time \
        net.ipv4.tcp_congestion_control net.ipv4.ip_local_port_range
    if command -v nstat >/dev/null 2>&1; then
        # -s: leave the history of whoever else uses nstat alone.
        run nstat -asz
    else
        run netstat -s
    fi
    run postconf -n
    run testparm -s
}

gather >"$out" && printf 'The facts are in %s\n' "$out"
