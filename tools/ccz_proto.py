# SPDX-License-Identifier: Apache-2.0
"""What protoc hands to a plug-in (google/protobuf/descriptor.proto, compiler/plugin.proto), as far as stubs need it."""


class Failure(Exception):
    """Told to the user by protoc."""


def varint(data, at):
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Failure("the request of protoc is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(data):
    """(number, value) of a message: bytes, or a number for the types of fixed length and varints."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, at = int.from_bytes(data[at:at + size], "little"), at + size
        elif wire == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            raise Failure(f"the request of protoc has a field of wire type {wire}")
        if at > len(data):
            raise Failure("the request of protoc is cut off")
        yield tag >> 3, value


def put_varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def put(number, value):
    if isinstance(value, int):
        return put_varint(number << 3) + put_varint(value)
    return put_varint(number << 3 | 2) + put_varint(len(value)) + value


def first(data, number, default=b""):
    """The last value counts, as everywhere in protobuf."""
    found = default
    for n, value in fields(data):
        if n == number:
            found = value
    return found


class Method:
    def __init__(self, raw, comment):
        self.name = first(raw, 1).decode()
        self.input = first(raw, 2).decode().lstrip(".")
        self.output = first(raw, 3).decode().lstrip(".")
        self.client_streams = bool(first(raw, 5, 0))
        self.server_streams = bool(first(raw, 6, 0))
        self.comment = comment


class Service:
    def __init__(self, raw, index, package, comments):
        self.name = first(raw, 1).decode()
        self.full_name = f"{package}.{self.name}" if package else self.name
        self.comment = comments.get((6, index), "")
        methods = [v for n, v in fields(raw) if n == 2]
        self.methods = [Method(m, comments.get((6, index, 2, i), "")) for i, m in enumerate(methods)]


class File:
    """One FileDescriptorProto."""

    def __init__(self, raw):
        self.name = first(raw, 1).decode()
        self.package = first(raw, 2).decode()
        self.imports = [v.decode() for n, v in fields(raw) if n == 3]
        self.public = [self.imports[v] for n, v in fields(raw) if n == 10]
        self.raw = b"".join(put(n, v) for n, v in fields(raw) if n != 9)  # without source_code_info
        # option (pb_c_file).c_package = "..", of protobuf-c/protobuf-c.proto
        self.c_package = first(first(first(raw, 8), 1019), 6, None)
        comments = self.comments(first(raw, 9))
        services = [v for n, v in fields(raw) if n == 6]
        self.services = [Service(s, i, self.package, comments) for i, s in enumerate(services)]
        self.messages = {}  # full name -> full names of its fields' messages
        for n, v in fields(raw):
            if n == 4:
                self.add_message(self.package, v)

    def add_message(self, scope, raw):
        name = first(raw, 1).decode()
        name = f"{scope}.{name}" if scope else name
        self.messages[name] = set()
        for n, v in fields(raw):
            if n == 3:
                self.add_message(name, v)
            elif n == 2 and first(v, 5, 0) in (10, 11):  # group, message
                self.messages[name].add(first(v, 6).decode().lstrip("."))

    def types(self, files):
        """Full name of each message of this file -> can it hold itself?"""
        uses = {m: u for f in files.values() for m, u in f.messages.items()}

        def reaches_a_cycle(start):
            # a message is as deep as what it holds: any cycle below it counts
            below, todo = set(), [start]
            while todo:
                for used in uses.get(todo.pop(), ()):
                    if used not in below:
                        below.add(used)
                        todo.append(used)
            return any(m in self.reach(m, uses) for m in below | {start})

        return {m: reaches_a_cycle(m) for m in self.messages}

    @staticmethod
    def reach(start, uses):
        seen, todo = set(), [start]
        while todo:
            for used in uses.get(todo.pop(), ()):
                if used not in seen:
                    seen.add(used)
                    todo.append(used)
        return seen

    @staticmethod
    def comments(info):
        """Path of a declaration -> the comment in front of it (SourceCodeInfo)."""
        found = {}
        for n, location in fields(info):
            if n != 1:
                continue
            path, packed, at = [], first(location, 1), 0
            while at < len(packed):
                value, at = varint(packed, at)
                path.append(value)
            text = first(location, 3).decode(errors="replace").strip()
            if text:
                found[tuple(path)] = text.replace("*/", "* /").replace("/*", "/ *")
        return found
