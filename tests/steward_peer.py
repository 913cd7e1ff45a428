# SPDX-License-Identifier: MIT
"""A second implementation of the management protocol, for tests: frames by hand, CBOR by python3-cbor2.

Starts a simulated steward and talks to it over its standard input and output.
"""
import os
import select
import subprocess
import time
import zlib

import cbor2

PAYLOAD_MAX_BYTES = 8192
IO_MAX_BYTES = 4096


def cobs_encode(data):
    out = bytearray()
    run = bytearray()
    for byte in data:
        if byte == 0:
            out.append(len(run) + 1)
            out += run
            run.clear()
            continue
        run.append(byte)
        if len(run) == 254:
            out.append(255)
            out += run
            run.clear()
    out.append(len(run) + 1)
    return bytes(out + run)


def cobs_decode(data):
    out = bytearray()
    at = 0
    while at < len(data):
        code = data[at]
        assert code != 0 and at + code <= len(data), 'not COBS'
        out += data[at + 1:at + code]
        at += code
        if code < 255 and at < len(data):
            out.append(0)
    return bytes(out)


def frame(payload):
    crc = zlib.crc32(payload).to_bytes(4, 'little')
    return b'\0' + cobs_encode(payload + crc) + b'\0'


def unframe(segment):
    data = cobs_decode(segment)
    payload, crc = data[:-4], data[-4:]
    assert zlib.crc32(payload).to_bytes(4, 'little') == crc, 'bad CRC'
    return payload


class Refused(Exception):
    """The steward answered with an error."""

    def __init__(self, err):
        super().__init__(f"{err['code']}: {err['thing']}: {err['reason']}")
        self.err = err
        self.code = err['code']


class Peer:
    """A simulated steward and a session with it."""

    def __init__(self, *options, program=None):
        program = program or os.environ.get('STEWARD', 'build/steward/steward')
        self.process = subprocess.Popen([program, '--sim', *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        os.set_blocking(self.process.stderr.fileno(), False)
        self.buffer = bytearray()
        self.errors = bytearray()
        self.session = os.urandom(7) + b'\1'
        self.id = 0

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        """Ends the input, which ends the steward. Returns its exit status."""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        self.drain_errors()
        self.process.stdout.close()
        self.process.stderr.close()
        return status

    def drain_errors(self):
        try:
            self.errors += self.process.stderr.read() or b''
        except ValueError:
            pass
        return self.errors.decode(errors='replace')

    def send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def message(self, timeout=5.0):
        """The next message as raw payload bytes, or None when nothing comes."""
        end = time.monotonic() + timeout
        while True:
            self.drain_errors()  # or a full pipe would stop the steward
            parts = bytes(self.buffer).split(b'\0')
            for i, part in enumerate(parts[:-1]):
                if part:
                    self.buffer[:] = b'\0'.join(parts[i + 1:])
                    return unframe(part)
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return None
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return None
            self.buffer += data

    def request(self, verb, args=None, id=None, session=None):
        """The payload of a request."""
        return cbor2.dumps({'v': 1, 'session': session or self.session, 'id': self.id if id is None else id,
                            'verb': verb, 'args': args or {}}, canonical=True)

    def call(self, verb, timeout=5.0, tries=3, **args):
        """Asks, repeats like a console does, and returns the answer's map or raises Refused."""
        self.id += 1
        args = {name.rstrip('_'): value for name, value in args.items()}
        return self.ask(self.request(verb, args), self.id, timeout, tries)

    def ask(self, payload, id, timeout=5.0, tries=3):
        for _ in range(tries):
            self.send(frame(payload))
            end = time.monotonic() + timeout
            while (raw := self.message(max(0.01, end - time.monotonic()))) is not None:
                answer = cbor2.loads(raw)
                if 'bad' in answer:
                    break  # something was lost: again, at once
                if answer.get('id') != id or answer.get('session') is None:
                    continue
                if 'err' in answer:
                    raise Refused(answer['err'])
                return answer['ok']
        raise TimeoutError(f'no answer; the steward said: {self.drain_errors()[-500:]}')

    def stage(self, name, source):
        """Sends a policy's source. Returns the arguments that name it for policy-check and policy-load."""
        data = source.encode() if isinstance(source, str) else source
        for at in range(0, max(len(data), 1), IO_MAX_BYTES):
            self.call('policy-stage', name=name, offset=at, data=data[at:at + IO_MAX_BYTES])
        return {'name': name, 'bytes': len(data), 'crc32': zlib.crc32(data)}

    def load(self, name, source, **options):
        return self.call('policy-load', **self.stage(name, source), **options)

    def check(self, name, source, **options):
        return self.call('policy-check', **self.stage(name, source), **options)
