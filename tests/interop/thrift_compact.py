# SPDX-License-Identifier: Apache-2.0
"""Structs of Thrift's compact protocol as {field id: (type, value)}, read and written."""
import struct

STOP, TRUE, FALSE, I8, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(13)


class Reader:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def take(self, size):
        self.at += size
        return self.data[self.at - size:self.at]

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def zigzag(self):
        n = self.varint()
        return n >> 1 ^ -(n & 1)

    def value(self, kind):
        if kind in (I16, I32, I64):
            return self.zigzag()
        if kind == BINARY:
            return self.take(self.varint())
        if kind == STRUCT:
            return self.struct()
        if kind in (LIST, SET):
            head = self.take(1)[0]
            size = head >> 4 if head >> 4 < 15 else self.varint()
            return head & 15, [self.value(head & 15) for _ in range(size)]
        if kind == DOUBLE:
            return self.take(8)
        return self.take(1)[0]  # I8, and booleans in lists

    def struct(self):
        fields, last = {}, 0
        while True:
            head = self.take(1)[0]
            if head == STOP:
                return fields
            last = last + (head >> 4) if head >> 4 else self.zigzag()
            kind = head & 15
            fields[last] = (kind, None if kind in (TRUE, FALSE) else self.value(kind))


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def zigzag(n):
    return varint(n << 1 if n >= 0 else ~n << 1 | 1)


def value(kind, v):
    if kind in (I16, I32, I64):
        return zigzag(v)
    if kind == BINARY:
        return varint(len(v)) + v
    if kind == STRUCT:
        return dump(v)
    if kind in (LIST, SET):
        of, items = v
        head = bytes([len(items) << 4 | of]) if len(items) < 15 else bytes([15 << 4 | of]) + varint(len(items))
        return head + b"".join(value(of, item) for item in items)
    return v if kind == DOUBLE else struct.pack("B", v)


def dump(fields):
    out, last = b"", 0
    for number in sorted(fields):
        kind, v = fields[number]
        step = number - last
        out += bytes([step << 4 | kind]) if 0 < step < 16 else bytes([kind]) + zigzag(number)
        out += b"" if kind in (TRUE, FALSE) else value(kind, v)
        last = number
    return out + b"\0"
