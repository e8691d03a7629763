"""One end of a link, frame by frame: what is sent is on the wire as it stands, and what arrives is
what was on the wire, with the tag the kernel takes off put back."""
import select
import socket
import struct
import time

ETH_P_ALL = 3
SOL_PACKET, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING = 263, 8, 23
AUXDATA = struct.Struct("IIIHHHH")  # status, length, captured, L2, L3, TCI, TPID
TAG_VALID = 0x10
MARKER_TYPE = b"\x88\xb5"  # for local experiments: not IP, so it passes a wire


class Wire:
    markers = 0

    def __init__(self, lab, host, interface):
        with lab.inside(host):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self.socket.bind((interface, ETH_P_ALL))
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, frame):
        self.socket.send(bytes(frame))

    def frames(self, seconds=3):
        """The frames that arrive, until there was none for that long."""
        while select.select([self.socket], [], [], seconds)[0]:
            frame, notes, _, _ = self.socket.recvmsg(65536, 256)
            for level, kind, data in notes:
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    status, _, _, _, _, tci, tpid = AUXDATA.unpack(data[:AUXDATA.size])
                    if status & TAG_VALID:
                        frame = frame[:12] + struct.pack(">HH", tpid, tci) + frame[12:]
            yield frame

    def expect(self, wanted, what, seconds=3):
        """The first frame of which wanted(frame) is true; others are passed over."""
        end = time.monotonic() + seconds
        for frame in self.frames(seconds):
            if wanted(frame):
                return frame
            if time.monotonic() > end:
                break
        raise AssertionError(f"no {what} arrived")

    def before_marker(self, sender, belongs):
        """What arrives ahead of a frame that `sender` sends now: nothing overtakes on a wire."""
        Wire.markers += 1
        marker = bytes.fromhex("0200000000ee0200000000ef") + MARKER_TYPE + \
            Wire.markers.to_bytes(8, "big").ljust(46, b"\0")
        sender.send(marker)
        seen = []
        for frame in self.frames():
            if frame == marker:
                return [one for one in seen if belongs(one)]
            seen.append(frame)
        raise AssertionError("the marker did not arrive")
