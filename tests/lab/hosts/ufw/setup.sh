ufw default deny incoming
ufw default deny routed
ufw allow from 10.77.0.0/16 to any port 22 proto tcp
sed -i 's/^IPT_SYSCTL=.*/IPT_SYSCTL=/' /etc/default/ufw
sed -i 's/^ENABLED=.*/ENABLED=yes/' /etc/ufw/ufw.conf
systemctl enable -q ufw.service
