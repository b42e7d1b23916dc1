chronyc waitsync 50 0.5 0 0.1 > /dev/null
mount -o remount,nosuid,nodev,noexec /tmp
# Logs on a file system of their own, with what is there already.
mkdir -p /mnt/log
mount -t tmpfs -o nosuid,nodev,noexec,mode=755,size=64m tmpfs /mnt/log
cp -a /var/log/. /mnt/log/
mount --bind /mnt/log /var/log
systemctl restart systemd-journald rsyslog
systemctl start backup-etc.service
