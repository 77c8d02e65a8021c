"""MySQL's wire protocol, as far as a front between a client and its server must read it.

https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html: packets, the handshake, OK and
ERR, and results of text queries (for the front's own questions). Compression is not offered.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag

COM_QUIT, COM_QUERY = 0x01, 0x03
OK, ERR, EOF, AUTH_SWITCH = 0x00, 0xFF, 0xFE, 0xFE
_LONGEST = 0xFFFFFF


class Capability(IntFlag):
    """The capabilities that the front knows what to do with."""

    LONG_PASSWORD = 1
    FOUND_ROWS = 1 << 1
    LONG_FLAG = 1 << 2
    CONNECT_WITH_DB = 1 << 3
    NO_SCHEMA = 1 << 4
    IGNORE_SPACE = 1 << 8
    PROTOCOL_41 = 1 << 9
    INTERACTIVE = 1 << 10
    SSL = 1 << 11
    TRANSACTIONS = 1 << 13
    SECURE_CONNECTION = 1 << 15
    MULTI_RESULTS = 1 << 17
    PS_MULTI_RESULTS = 1 << 18
    PLUGIN_AUTH = 1 << 19
    CONNECT_ATTRS = 1 << 20
    PLUGIN_AUTH_LENENC_CLIENT_DATA = 1 << 21


KNOWN = Capability(sum(Capability)) ^ Capability.SSL
"""All of them but TLS, which ends at the front."""

_ALWAYS = (
    Capability.LONG_PASSWORD
    | Capability.PROTOCOL_41
    | Capability.SECURE_CONNECTION
    | Capability.PLUGIN_AUTH
)
_NEVER = Capability.CONNECT_ATTRS | Capability.PLUGIN_AUTH_LENENC_CLIENT_DATA


class PacketTooLarge(Exception):
    """A packet of 16 MiB or more, which goes over the wire in several."""


class SqlError(Exception):
    """An error for the client, with MySQL's number and SQLSTATE."""

    def __init__(self, number: int, message: str, state: str = "HY000") -> None:
        super().__init__(message)
        self.number = number
        self.state = state

    def packet(self) -> bytes:
        """Return the ERR packet."""
        head = struct.pack("<BH", ERR, self.number)
        return head + b"#" + self.state.encode() + str(self).encode()

    @classmethod
    def of(cls, packet: bytes) -> SqlError:
        """Return the error in an ERR packet."""
        (number,) = struct.unpack_from("<H", packet, 1)
        state, text = (
            (packet[4:9].decode(), packet[9:]) if packet[3:4] == b"#" else ("HY000", packet[3:])
        )
        return cls(number, text.decode("utf-8", "replace"), state)


class Refusal(SqlError):
    """An error that Aurora gives and MariaDB does not; *reason* is for the rehearsal's report."""

    def __init__(
        self, number: int, message: str, state: str = "HY000", *, reason: str = ""
    ) -> None:
        super().__init__(number, message, state)
        self.reason = reason or message


class Channel:
    """Whole packets over one socket; keeps count of their sequence numbers."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.sequence = 0

    def read(self) -> bytes:
        """Return the next packet's payload; EOFError where the other side is gone."""
        header = self._exactly(4)
        length = int.from_bytes(header[:3], "little")
        self.sequence = (header[3] + 1) % 256
        if length == _LONGEST:
            raise PacketTooLarge
        return self._exactly(length)

    def send(self, payload: bytes) -> None:
        """Send one packet, as the answer to the last one read."""
        self.socket.sendall(framed(payload, self.sequence))
        self.sequence = (self.sequence + 1) % 256

    def command(self, payload: bytes) -> None:
        """Send one packet that begins a new exchange."""
        self.sequence = 0
        self.send(payload)

    def query(self, sql: str) -> list[list[str | None]]:
        """Ask a server a question of our own; SqlError where it refuses."""
        return [_values(row) for row in list(self._result(sql))[1:]]

    def result(self, sql: str) -> list[bytes]:
        """Return the packets of the answer to a question, to be told to somebody else."""
        packets: list[bytes] = []
        for _ in self._result(sql, packets):
            pass
        return packets

    def _result(self, sql: str, packets: list[bytes] | None = None) -> Iterator[bytes]:
        """Yield the first packet and the rows of one result; collect all packets."""
        collected = [] if packets is None else packets

        def packet() -> bytes:
            collected.append(self.read())
            return collected[-1]

        self.command(bytes([COM_QUERY]) + sql.encode())
        first = packet()
        if first[0] == ERR:
            raise SqlError.of(first)
        yield first
        if first[0] == OK:
            return
        while not _is_end(packet()):
            pass  # the columns' definitions
        while not _is_end(row := packet()):
            if row[0] == ERR:
                raise SqlError.of(row)
            yield row

    def _exactly(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            part = self.socket.recv(count - len(parts))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)


def framed(payload: bytes, sequence: int) -> bytes:
    """Return *payload* as a packet."""
    if len(payload) >= _LONGEST:
        raise PacketTooLarge
    return len(payload).to_bytes(3, "little") + bytes([sequence]) + payload


def _is_end(packet: bytes) -> bool:
    return packet[0] == EOF and len(packet) < 9


def _values(row: bytes) -> list[str | None]:
    reader, values = Reader(row), []
    while not reader.is_done:
        values.append(reader.text_or_null())
    return values


class Reader:
    """Reads the fields of a payload one after the other."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._at = 0

    @property
    def is_done(self) -> bool:
        """Tell whether nothing is left."""
        return self._at >= len(self._payload)

    def take(self, count: int) -> bytes:
        """Return so many bytes."""
        found = self._payload[self._at : self._at + count]
        self._at += count
        return found

    def number(self, count: int) -> int:
        """Return a number of so many bytes."""
        return int.from_bytes(self.take(count), "little")

    def until_null(self) -> bytes:
        """Return the bytes up to the next NUL, or up to the end."""
        end = self._payload.find(b"\0", self._at)
        found = self._payload[self._at : end if end >= 0 else None]
        self._at += len(found) + 1
        return found

    def length_encoded(self) -> int | None:
        """Return a number of as many bytes as its first one says; None for NULL."""
        first = self.number(1)
        if first == 0xFB:
            return None
        return self.number({0xFC: 2, 0xFD: 3, 0xFE: 8}[first]) if first > 0xFB else first

    def text_or_null(self) -> str | None:
        """Return a text that its length stands before."""
        length = self.length_encoded()
        return None if length is None else self.take(length).decode("utf-8", "replace")


@dataclass(frozen=True)
class Greeting:
    """The server's first packet."""

    thread: int
    scramble: bytes
    capabilities: Capability
    charset: int
    status: int

    @classmethod
    def of(cls, packet: bytes) -> Greeting:
        """Read it; SqlError where the server refuses the connection."""
        if packet[0] == ERR:
            raise SqlError.of(packet)
        reader = Reader(packet)
        reader.number(1)
        reader.until_null()
        thread, first = reader.number(4), reader.take(8)
        reader.take(1)
        low, charset, status, high = (reader.number(size) for size in (2, 1, 2, 2))
        reader.take(11)
        scramble = first + reader.take(12)
        return cls(thread, scramble, Capability((low | high << 16) & KNOWN), charset, status)

    def packet(self, version: str) -> bytes:
        """Return it as a server of *version* says it that speaks TLS and asks for a password."""
        capabilities = int(self.capabilities | Capability.SSL)
        return (
            b"\x0a"
            + version.encode()
            + b"\0"
            + struct.pack("<I", self.thread)
            + self.scramble[:8]
            + b"\0"
            + struct.pack("<HBH", capabilities & 0xFFFF, self.charset, self.status)
            + struct.pack("<HB10x", capabilities >> 16, 21)
            + self.scramble[8:]
            + b"\0mysql_native_password\0"
        )


@dataclass(frozen=True)
class Login:
    """A client's answer to the greeting."""

    capabilities: Capability
    packet_bytes: int
    charset: int
    user: str
    proof: bytes
    database: bytes | None

    @classmethod
    def of(cls, packet: bytes) -> Login:
        """Read it."""
        reader = Reader(packet)
        capabilities = Capability(reader.number(4) & int(KNOWN | Capability.SSL))
        packet_bytes, charset = reader.number(4), reader.number(1)
        reader.take(23)
        user = reader.until_null().decode("utf-8", "replace")
        lenenc = Capability.PLUGIN_AUTH_LENENC_CLIENT_DATA in capabilities
        proof = reader.take((reader.length_encoded() if lenenc else reader.number(1)) or 0)
        with_database = Capability.CONNECT_WITH_DB in capabilities
        database = reader.until_null() if with_database else None
        return cls(capabilities, packet_bytes, charset, user, proof, database)

    def packet(self, proof: bytes) -> bytes:
        """Return it for the server behind, where *proof* is the answer to its scramble."""
        capabilities = int(self.capabilities & KNOWN & ~_NEVER | _ALWAYS)
        return (
            struct.pack("<IIB23x", capabilities, self.packet_bytes, self.charset)
            + self.user.encode()
            + b"\0"
            + bytes([len(proof)])
            + proof
            + (b"" if self.database is None else self.database + b"\0")
            + b"mysql_native_password\0"
        )


TLS_REQUEST_BYTES = 32
"""A client that wants TLS first sends its answer's head alone."""


def warnings_in(packet: bytes) -> int:
    """Return the number of warnings that an OK packet tells of."""
    reader = Reader(packet)
    reader.number(1)
    reader.length_encoded()
    reader.length_encoded()
    reader.number(2)
    return reader.number(2)
