chronyc waitsync 50 0.5 0 0.1 > /dev/null
mount -o remount,nosuid,nodev,noexec /tmp
systemctl start backup-etc.service
