umask 022
ssh-keygen -q -t rsa -b 1024 -N '' -f /etc/ssh/ssh_host_rsa_key
useradd -m -s /bin/bash -p "$(openssl passwd -1 welkom)" beheer
useradd -m -s /bin/bash -p '' leeg
useradd -o -u 0 -g 0 -M -d /root -s /bin/bash -p '*' tweede-root
usermod -s /bin/bash www-data
sed -i "s/pam_unix.so nullok/pam_unix.so nullok nodelay/" /etc/pam.d/common-auth
sed -i -E 's/^ENCRYPT_METHOD.*/ENCRYPT_METHOD MD5/; s/^UMASK.*/UMASK 000/; s/^PASS_MAX_DAYS.*/PASS_MAX_DAYS 99999/' \
    /etc/login.defs
chmod 666 /etc/passwd
chmod 644 /etc/shadow /etc/gshadow /etc/ssh/ssh_host_ed25519_key.pub
chmod 777 /etc/crontab /home/beheer /var/log
chmod 0777 /var/tmp
install -m 666 /dev/null /usr/local/etc/open.conf
install -m 4755 /bin/dash /usr/local/bin/rootshell
install -m 644 -o 4242 -g 4242 /dev/null /srv/orphan
rm -f /etc/audit/rules.d/*.rules
chmod 440 /etc/sudoers.d/*
chmod 644 /etc/ssl/lab/server.key
systemctl disable -q nftables.service chrony.service rsyslog.service
echo 'telnet stream tcp nowait root /usr/sbin/tcpd /usr/sbin/telnetd' > /etc/inetd.conf
systemctl enable -q nginx.service inetd.service rpcbind.service rpcbind.socket avahi-daemon.service
