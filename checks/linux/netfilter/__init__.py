"""What a Linux packet filter does with a packet that nobody expects: rules read strictly, and walked.

`rules` holds the words, `nftables` and `iptables` read what the kernel holds, `together` makes one ruleset of it,
`walk` finds which ports are open to which addresses. For checks/linux/firewall.py; no fact or check is declared here.
"""
