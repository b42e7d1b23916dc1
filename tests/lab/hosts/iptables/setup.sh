systemctl enable -q netfilter-persistent.service
