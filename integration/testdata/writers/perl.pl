# Saves a document by printing it piece by piece.
use strict;
use warnings;

my ($path, $seq, $count) = @ARGV;
$| = 1;
while (1) {
    $seq++;
    open(my $f, '>', $path) or die "open $path: $!";
    print $f qq({"head": $seq, "who": "perl", "body": [);
    print $f join(",\n", ($seq) x $count);
    print $f qq(], "tail": $seq}\n) or die "print: $!";
    close($f) or die "close $path: $!";
    print "$seq\n";
}
