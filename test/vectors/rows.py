"""What the vector scripts share: reproducible choices, and printing or checking the rows."""

import hashlib
import sys


class Draw:
    """Numbers that are the same for everyone: SHA-256 of a label and a counter."""

    def __init__(self, label):
        self.label = label
        self.count = 0

    def bits(self, n):
        self.count += 1
        digest = hashlib.sha256(f"{self.label} {self.count}".encode()).digest()
        return int.from_bytes(digest, "big") & ((1 << n) - 1)

    def pick(self, values):
        return values[self.bits(32) % len(values)]

    def bytes(self, n):
        return bytes(self.bits(8) for _ in range(n))


def finish(rows):
    """Prints the rows; with --check FILE says whether FILE holds exactly them."""
    text = "".join(row + "\n" for row in rows)
    if len(sys.argv) == 3 and sys.argv[1] == "--check":
        with open(sys.argv[2], encoding="ascii") as file:
            if file.read() != text:
                sys.exit(f"{sys.argv[2]} is not what {sys.argv[0]} prints: write it anew")
        return
    sys.stdout.write(text)
