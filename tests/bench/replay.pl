# A target that costs next to nothing: sshd's ForceCommand, in the place of `sh -s`.
#
# A script it has not seen is really run here, and kept with both its outputs; after that the answer is played back
# under the nonce of the day. Scripts differ in length when they differ in questions, and so find their answer.
# Hosts are made to differ as real ones do: their name, and the last digits of every moment.
use strict;
use warnings;

my ($folder) = @ARGV;
exit 0 if $ENV{SSH_ORIGINAL_COMMAND} eq 'true';
local $/;
my $script = <STDIN>;
my ($nonce) = $script =~ /^N=([0-9a-f]{32})$/m or exit 1;
my $kept  = "$folder/" . length $script;

if (!-e "$kept.out") {
    spill("$kept.script", $script);
    system("sh -s < $kept.script > $kept.raw 2> $kept.err") == 0 or exit 1;
    for my $stream ('err', 'raw') {
        my $said = slurp("$kept.$stream");
        $said =~ s/$nonce/NONCE/g;
        spill("$kept.$stream", $said);
    }
    rename "$kept.raw", "$kept.out";
}
my ($number) = $ENV{SSH_CONNECTION} =~ /\.(\d+) \d+$/;
my $name = slurp('/proc/sys/kernel/hostname');
chomp $name;
for my $stream ('err', 'out') {
    my $said = slurp("$kept.$stream");
    $said =~ s/NONCE/$nonce/g;
    $said =~ s/\b\Q$name\E\b/host$number/g;
    $said =~ s/\b(1[67]\d{5})\d{3}\b/sprintf '%s%03d', $1, $number/ge;
    $said =~ s/\b(\d\d:\d\d):\d\d\b/sprintf '%s:%02d', $1, $number % 60/ge;
    print { $stream eq 'err' ? *STDERR : *STDOUT } $said;
}

sub slurp {
    open my $file, '<:raw', $_[0] or die "$_[0]: $!";
    return scalar <$file>;
}

sub spill {
    open my $file, '>:raw', $_[0] or die "$_[0]: $!";
    print $file $_[1];
    close $file;
    return;
}
