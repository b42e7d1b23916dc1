umask 022
groupadd -r ssh-login
for account in scan audit plain asks; do
    usermod -aG ssh-login "$account"
    chmod 750 "/home/$account"
done
rm -f /etc/sudoers.d/scan /etc/sudoers.d/asks
chmod 440 /etc/sudoers.d/*
chmod 600 /etc/crontab /etc/ssh/sshd_config
chmod 700 /etc/cron.d /etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly
echo root > /etc/cron.allow
echo root > /etc/at.allow
chmod 640 /etc/cron.allow /etc/at.allow
rm -f /etc/cron.deny /etc/at.deny
sed -i -E 's/^UMASK.*/UMASK 027/; s/^PASS_MAX_DAYS.*/PASS_MAX_DAYS 365/; s/^PASS_MIN_DAYS.*/PASS_MIN_DAYS 1/' /etc/login.defs
sed -i -E 's/^#? *HOME_MODE.*/HOME_MODE 0750/' /etc/login.defs
sed -i -E 's/^# *(auth +required +pam_wheel.so)$/\1 use_uid group=sudo/' /etc/pam.d/su
DEBIAN_FRONTEND=noninteractive pam-auth-update --package --enable faillock faillock-notify pwhistory
sed -i -E 's/^(max_log_file_action|space_left_action|admin_space_left_action|disk_full_action|disk_error_action) *=.*/\1 = syslog/' \
    /etc/audit/auditd.conf
sed -i 's/^max_log_file_action.*/max_log_file_action = keep_logs/' /etc/audit/auditd.conf
install -d -m 2755 -g systemd-journal /var/log/journal
install -d -m 750 /var/log/audit
install -D -m 640 /dev/null /var/log/unattended-upgrades/unattended-upgrades-shutdown.log
find /var/log -type f -exec chmod u-x,g-wx,o-rwx {} +
echo 'Acquire::https::Verify-Peer "true";' > /etc/apt/apt.conf.d/30verify
for account in scan audit plain asks; do lastlog -S -u "$account"; done
install -d -m 750 /var/lib/aide /var/log/aide
aide --config=/etc/aide/aide.conf --init > /var/log/aide/aide.log
chmod 640 /var/log/aide/aide.log
sed -i 's,^deb http:,deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] https:,' /etc/apt/sources.list
passwd -q -l root
sed -i "s/ nullok//" /etc/pam.d/common-auth
systemctl enable -q nftables.service chrony.service nginx.service unattended-upgrades.service \
    aidecheck.timer apt-daily.timer apt-daily-upgrade.timer backup-etc.timer
