systemctl enable -q firewalld.service
