#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Cases for steward.bats: one simulated steward each, spoken to by a second implementation of the protocol.

usage: steward_cases.py CASE | --list
"""
import os
import random
import sys
import tempfile
import time

import cbor2

from steward_peer import IO_MAX_BYTES, PAYLOAD_MAX_BYTES, Peer, Refused, frame
from steward_schema import RULES, check_answer, why_not

QUICK = ('step-ms=20',)
HOSTILE = ('step-ms=20', 'test=1', 'budget-ms=200')
TICK = "local p = { name = 't', api = 1 }\nfunction p.tick(host, vms, dt)\n%s\nend\nreturn p\n"


def expect(condition, *what):
    if not condition:
        raise AssertionError(' '.join(str(w) for w in what) or 'not as expected')


def refused(code, call, /, *args, **named):
    """The call must fail with this code. Returns the error's map."""
    try:
        ok = call(*args, **named)
    except Refused as e:
        expect(e.code == code, f'want error {code}, got: {e}')
        expect(e.err['thing'] and e.err['reason'], e.err)
        return e.err
    raise AssertionError(f'want error {code}, got {ok}')


def wait_for(what, condition, seconds=5.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f'waited in vain for: {what}')


# ---- Protocol ---------------------------------------------------------------

def case_schema():
    """every verb's answer is deterministic CBOR of the shape the schema gives"""
    with Peer(*QUICK) as p:
        def ask(verb, **args):
            answer = p.call(verb, **args)
            check_answer(verb, answer)
            return answer
        ask('hello')
        ask('create', name='x', kernel='vmlinuz', module='initrd', size_pages=1000, min_pages=10, vcpus=8, cpu_shares=5,
            paused=True)
        time.sleep(0.3)
        for verb in ('list', 'info', 'snapshot', 'policy-list', 'policy-info', 'stats', 'ledger', 'images', 'disks'):
            ask(verb)
        ask('info', vm='x')
        ask('info', vm=1)
        ask('events', seq=0)
        ask('log', offset=0)
        ask('unpause', vm='x')
        ask('pause', vm='x')
        ask('mem-max', vm='x', pages=900)
        ask('mem-min', vm='x', pages=20)
        ask('mem-set', vm='x', pages=500)
        ask('mem-set', vm='x', pages='auto')
        ask('shares', vm='x', shares=7)
        ask('cpu-shares', vm='x', shares=7)
        ask('share-group', vm='x', group=7)
        ask('console-write', vm='x', data=b'hi')
        ask('console-read', vm='x', offset=0)
        ask('policy-check', file='equal')
        ask('policy-load', file='equal')
        ask('policy-set', name='free_percent', value=5)
        ask('policy-show', offset=0)
        ask('policy-show', name='equal', offset=0)
        ask('policy-rollback', reason='test')
        ask('policy-stage', name='mine', offset=0, data=b'return 1')
        ask('image-create', name='up', bytes=5)
        ask('image-write', name='up', offset=0, data=b'12345')
        ask('image-seal', name='up')
        ask('image-delete', name='up')
        ask('destroy', vm='x')
        ask('shutdown', code=3)
        expect(p.process.wait(5) == 3, 'exit status')


def case_deterministic():
    """answers are byte for byte what another encoder makes of them"""
    with Peer(*QUICK, 'vms=20') as p:
        for verb in ('hello', 'list', 'snapshot', 'policy-info', 'events', 'images', 'disks'):
            p.id += 1
            p.send(frame(p.request(verb, {'seq': 0} if verb == 'events' else {})))
            raw = p.message()
            expect(cbor2.dumps(cbor2.loads(raw), canonical=True) == raw, verb)


def pages(p, verb):
    """All answers of a listing."""
    answers = [p.call(verb)]
    while 'more' in answers[-1]:
        answers.append(p.call(verb, after=answers[-1]['more']))
    for answer in answers:
        check_answer(verb, answer)
    return answers


def case_paging():
    """128 VMs come in pages, none twice and none left out"""
    with Peer(*QUICK, 'vms=128', 'cpus=64', 'pages=1000000') as p:
        for verb in ('list', 'snapshot'):
            answers = pages(p, verb)
            ids = [vm['id'] for answer in answers for vm in answer['vms']]
            expect(ids == list(range(1, 129)), verb, ids)
            expect(['cpu' in answer['host'] for answer in answers] == [verb == 'snapshot'] + [False] * (len(answers) - 1))
        expect(len(p.call('snapshot')['host']['cpu']) == 64)
        # A policy with so much to tell that no VM fits beside it.
        for count in range(20, 40):
            params = ', '.join(f'p{i} = "{"x" * 100}"' for i in range(count))
            p.load('t', "return { name = 't', api = 1, params = { %s }, tick = function() end }" % params)
            answers = pages(p, 'snapshot')
            expect([vm['id'] for answer in answers for vm in answer['vms']] == list(range(1, 129)))
            if not answers[0]['vms']:
                break
        expect(answers[0]['more'] == 0 and len(answers[0]['policy']['params']) == count)
        err = refused('no-space', p.call, 'create', name='one-more', kernel='vmlinuz', size_pages=100)
        expect('128' in err['reason'], err)


def case_cpus():
    """CPUs and vCPUs: their times add up, a VM has what its vCPUs have, and CPU shares can be changed"""
    with Peer('step-ms=20', 'vms=0', 'cpus=4') as p:
        p.call('create', name='wide', kernel='vmlinuz', size_pages=1000, vcpus=8)
        p.call('create', name='one', kernel='vmlinuz', size_pages=1000, cpu_shares=125)
        vm = {vm['name']: vm for vm in p.call('list')['vms']}
        expect((vm['wide']['vcpus'], vm['wide']['cpu_shares']) == (8, 1000), vm)
        expect((vm['one']['vcpus'], vm['one']['cpu_shares']) == (1, 125), vm)

        def times():
            s = p.call('snapshot')
            host, cpu = s['host'], s['host']['cpu']
            expect(host['cpus'] == len(cpu) == 4 and [c['apic_id'] for c in cpu] == [0, 1, 2, 3], cpu)
            expect(host['idle_ns'] == sum(c['idle_ns'] for c in cpu))
            for c in cpu:
                expect(c['guest_ns'] + c['steward_ns'] + c['idle_ns'] <= host['now_ns'], c, host['now_ns'])
            for v in s['vms']:
                expect(v['vcpus'] == len(v['vcpu']) and v['cpu_ns'] == sum(u['cpu_ns'] for u in v['vcpu']), v)
                expect(all(u['cpu'] < 4 and u['state'] == 'runnable' for u in v['vcpu']), v)
            expect(sum(v['cpu_ns'] for v in s['vms']) == sum(c['guest_ns'] for c in cpu))
            expect(p.call('info')['host']['cpu'][3]['apic_id'] == 3)
            return {v['name']: v['vcpu'][0]['cpu_ns'] for v in s['vms']}

        before = times()
        wait_for('time to pass', lambda: times()['one'] > before['one'] + 10**9)
        now = times()
        p.call('cpu-shares', vm='one', shares=1000000)
        wait_for('more time', lambda: times()['one'] > now['one'] + 10**9)
        expect([vm['cpu_shares'] for vm in p.call('list')['vms']] == [1000, 1000000])
        seen = p.check('t', TICK % "print(host.cpus, vms[1].vcpus, vms[1].cpu_shares, vms[2].cpu_shares, vms[1].cpu_ns > 0)")
        expect(seen['prints'] == ['4 8 1000 1000000 true'], seen['prints'])


def case_bad_frames():
    """cut, corrupt, oversized, and no CBOR: one complaint each, and the next request is served"""
    with Peer(*QUICK) as p:
        good = frame(p.request('hello', id=1))
        damaged = bytearray(good)
        damaged[20] ^= 0x10
        for name, data in (('corrupt', bytes(damaged)), ('cut', good[:25] + b'\0'),
                           ('oversized', b'\0' + b'\xaa' * 20000 + b'\0'), ('not CBOR', frame(b'\xff\xff')),
                           ('empty map', frame(b'\xa0')), ('an array', frame(b'\x83\1\2\3')),
                           ('claims 2^64 items', frame(bytes.fromhex('a161619bffffffffffffffff'))),
                           ('nested', frame(b'\xa1\x61a' + b'\x81' * 500 + b'\1')),
                           ('two items', frame(b'\xa0\xa0')),
                           ('keys twice', frame(bytes.fromhex('a2616101616102')))):
            p.send(data)
            answer = cbor2.loads(p.message() or b'\xa0')
            expect(set(answer) == {'v', 'bad'}, name, answer)
            check_answer('hello', p.call('hello'))
            expect(p.message(0.05) is None, f'{name}: more than one complaint')


def case_bad_envelopes():
    """an envelope with missing or mistyped parts is complained of; nothing is done"""
    with Peer(*QUICK) as p:
        whole = {'v': 1, 'session': b'12345678', 'id': 1, 'verb': 'destroy', 'args': {'vm': 1}}
        for name, change in (('v', 2), ('v', 'x'), ('session', b'1234567'), ('session', b'\0' * 8), ('session', 5),
                             ('id', -1), ('id', 0), ('id', 'x'), ('verb', 5), ('verb', 'x' * 100), ('args', [])):
            for broken in ({**whole, name: change}, {k: v for k, v in whole.items() if k != name}):
                p.send(frame(cbor2.dumps(broken, canonical=True)))
                answer = cbor2.loads(p.message() or b'\xa0')
                expect('bad' in answer, broken, answer)
        expect(len(p.call('list')['vms']) == 4)


def case_noise():
    """noise before, between and instead of frames: every request is answered at last, by a retry if need be"""
    noise = random.Random(1)
    with Peer(*QUICK) as p:
        for _ in range(100):
            p.send(noise.randbytes(noise.randrange(300)))
            p.id += 1
            payload = p.request('list')
            check_answer('list', p.ask(payload, p.id, timeout=0.3, tries=100))


def case_exactly_once():
    """a duplicate is answered and not done again; stale and reused ids are refused; order does not matter"""
    with Peer(*QUICK) as p:
        create = p.request('create', {'name': 'once', 'kernel': 'vmlinuz', 'size_pages': 1000}, id=10)
        first = p.ask(create, 10)
        for _ in range(3):
            expect(p.ask(create, 10) == first)
        destroy = p.request('destroy', {'vm': 'once'}, id=11)
        p.ask(destroy, 11)
        refused('stale', p.ask, create, 10)
        expect(all(vm['name'] != 'once' for vm in p.ask(p.request('list', id=12), 12)['vms']))
        p.ask(p.request('pause', {'vm': 1}, id=13), 13)
        refused('bad-request', p.ask, p.request('unpause', {'vm': 1}, id=13), 13)
        p.ask(p.request('create', {'name': 'other', 'kernel': 'vmlinuz', 'size_pages': 1000}, id=1, session=b'other123'), 1)


def case_exactly_once_across_death():
    """the same after the steward has died between the deed and its repetition"""
    with Peer(*QUICK, 'test=1') as p:
        create = p.request('create', {'name': 'once', 'kernel': 'vmlinuz', 'size_pages': 1000}, id=10)
        first = p.ask(create, 10)
        other = Peer.__new__(Peer)
        other.__dict__.update(p.__dict__, session=b'killer00', id=0)
        answer = other.call('steward-kill', timeout=0.5)
        expect(answer.get('repeated'), answer)
        again = p.ask(create, 10)
        expect(again == {**first, 'repeated': True}, again)
        p.ask(p.request('destroy', {'vm': 'once'}, id=11), 11)
        other.call('steward-kill', timeout=0.5)
        gone = p.ask(p.request('destroy', {'vm': 'once'}, id=11), 11)
        expect(gone['repeated'], gone)
        other.call('steward-kill', timeout=0.5)
        refused('stale', p.ask, create, 10)
        expect(other.call('hello')['steward_restarts'] == 3)


def case_bad_arguments():
    """unknown verbs, missing, unknown and mistyped arguments, names and sizes out of bounds"""
    with Peer(*QUICK) as p:
        refused('unknown-verb', p.call, 'frobnicate')
        err = refused('bad-args', p.call, 'list', colour=1)
        expect('after' in err['reason'], err)
        refused('bad-args', p.call, 'destroy')
        refused('bad-args', p.call, 'destroy', vm=-1)
        refused('not-found', p.call, 'destroy', vm='nobody')
        refused('not-found', p.call, 'info', vm=99)
        good = {'name': 'n', 'kernel': 'vmlinuz', 'size_pages': 1000}
        for change, code in (({'name': ''}, 'bad-args'), ({'name': 'a b'}, 'bad-args'), ({'name': '-a'}, 'bad-args'),
                             ({'name': 'x' * 32}, 'bad-args'), ({'name': 'vm1'}, 'exists'), ({'name': 5}, 'bad-args'),
                             ({'kernel': 'nothere'}, 'not-found'), ({'module': 'nothere'}, 'not-found'),
                             ({'size_pages': 0}, 'invalid'), ({'size_pages': -5}, 'bad-args'),
                             ({'size_pages': 1.5}, 'bad-args'), ({'size_pages': 2**64 - 1}, 'invalid'),
                             ({'max_pages': 2000}, 'invalid'), ({'min_pages': 1001}, 'invalid'),
                             ({'shares': 0}, 'invalid'), ({'kind': 'dos'}, 'bad-args'), ({'paused': 1}, 'bad-args'),
                             ({'vcpus': 0}, 'invalid'), ({'vcpus': 9}, 'invalid'), ({'vcpus': 2**32 + 1}, 'invalid'),
                             ({'vcpus': 'two'}, 'bad-args'), ({'cpu_shares': 0}, 'out-of-range'),
                             ({'cpu_shares': 1000001}, 'invalid'), ({'cmdline': 'x' * 512}, 'bad-args')):
            refused(code, p.call, 'create', **{**good, **change})
        err = refused('refused', p.call, 'create', name='big', kernel='vmlinuz', size_pages=60000, min_pages=60000)
        expect('minimum' in err['reason'], err)
        refused('out-of-range', p.call, 'mem-set', vm=1, pages=1)
        refused('bad-args', p.call, 'mem-set', vm=1, pages='lots')
        refused('out-of-range', p.call, 'mem-max', vm=1, pages=10**9)
        refused('out-of-range', p.call, 'shares', vm=1, shares=0)
        for shares in (0, 1000001):
            err = refused('out-of-range', p.call, 'cpu-shares', vm=1, shares=shares)
            expect('1000000' in err['reason'], err)
        refused('bad-args', p.call, 'cpu-shares', vm=1)
        expect('127' in refused('out-of-range', p.call, 'share-group', vm=1, group=128)['reason'])
        refused('invalid', p.call, 'unpause', vm=1)
        refused('bad-args', p.call, 'console-write', vm=1, data=b'x' * (IO_MAX_BYTES + 1))
        refused('not-permitted', p.call, 'image-delete', name='vmlinuz')
        refused('out-of-range', p.call, 'shutdown', code=200)
        expect(len(p.call('list')['vms']) == 4)


# Every major type in every width, then what the protocol does without: RFC 8949, appendix B.
ITEMS = [bytes.fromhex(item) for item in (
    '00 17 1818 190100 1a00010000 1b0000000100000000 1bffffffffffffffff '
    '20 37 3818 390100 3a00010000 3b0000000100000000 3bffffffffffffffff '
    f'40 4100 5818{"00" * 24} 590100{"00" * 256} 60 6161 6100 61ff 62c3bc 7818{"78" * 24} 790100{"78" * 256} '
    f'80 8100 818100 9818{"00" * 24} a0 a1616100 f4 f5 f6 '
    'f93c00 f97e00 f97c00 f9fc00 fa47c35000 fb3ff199999999999a '
    'f7 e0 f3 f818 f820 f8ff c000 d82a00 1817 190017 5800 9800 b800 1c 3c 5c 7c 9c bc dc fc fd fe '
    '5f4100ff 7f6161ff 9f00ff bf616100ff ff 18 1b00 41 61 81 a1 a161').split()]

# Arguments with which a verb is content, but for the one that is under test.
USUAL = {'vm': 1, 'name': 'equal', 'file': 'equal', 'kernel': 'vmlinuz', 'size_pages': 1000, 'pages': 5000, 'shares': 5, 'group': 5, 'offset': 0,
         'data': b'x', 'seq': 0, 'bytes': 1, 'crc32': 0, 'value': 1}
# These end or change what the others need: only with arguments that must be refused.
GRAVE = ('create', 'destroy', 'shutdown', 'policy-load', 'policy-stage', 'pause')


def request_with(members, name, item):
    """A map's encoding in which the member `name` has the encoding `item`."""
    pairs = sorted((cbor2.dumps(k), item if k == name else v if isinstance(v, Raw) else cbor2.dumps(v))
                   for k, v in {**members, name: None}.items())
    return Raw(bytes([0xa0 + len(pairs)]) + b''.join(k + v for k, v in pairs))


class Raw(bytes):
    """CBOR that is encoded already."""


def arguments():
    """(verb, argument, its type in the schema, names of those that must be there) for all there are."""
    for verb, (_, exchange) in RULES['exchange'][1].items():
        args = exchange[1][0][1]
        args = RULES[args[1]] if args[0] == 'name' else args
        for choice in args[1] if args[0] == 'or' else [args]:
            for name, (_, tree) in choice[1].items():
                yield verb, name, tree, [other for other, (optional, _) in choice[1].items() if not optional]


def is_good(tree, item):
    try:
        return why_not(tree, cbor2.loads(item), '') is None
    except (cbor2.CBORDecodeError, ValueError):
        return False


def case_every_type():
    """every CBOR type and width, well-formed or not, in place of every argument and part of a request: refused, unless
    the schema has it, and survived"""
    envelope = {'v': 1, 'session': b'everyone', 'id': 1, 'verb': 'hello', 'args': {}}
    with Peer(*QUICK, 'test=1') as p:
        ids = iter(range(1, 1 << 30))

        def answer(payload, what):
            p.send(frame(payload))
            raw = p.message()
            expect(raw is not None, what, 'no answer:', p.drain_errors())
            return cbor2.loads(raw)
        for verb, name, tree, needed in arguments():
            others = {other: USUAL[other] for other in needed if other != name}
            for item in ITEMS:
                if (good := is_good(tree, item)) and verb in GRAVE:
                    continue
                args = request_with(others, name, item)
                got = answer(request_with({**envelope, 'id': next(ids), 'verb': verb}, 'args', args),
                             f'{verb} {name} {item.hex()}:')
                expect(good or 'ok' not in got, verb, name, item.hex(), got)
        for part in envelope:
            for item in ITEMS:
                session = os.urandom(7) + b'\2'
                got = answer(request_with({**envelope, 'session': session}, part, item), f'{part} {item.hex()}:')
                expect('ok' not in got or part == 'id' or part == 'args' and item == b'\xa0', part, item.hex(), got)
        hello = p.call('hello')
        expect(hello['steward_restarts'] == 0, p.drain_errors())


def case_uploads():
    """images arrive in chunks, repeated chunks do no harm, and only whole ones are sealed"""
    with Peer(*QUICK) as p:
        p.call('image-create', name='kernel', bytes=10000)
        refused('exists', p.call, 'image-create', name='kernel', bytes=5)
        for at in (0, 4096, 4096):
            p.call('image-write', name='kernel', offset=at, data=b'k' * 4096)
        refused('invalid', p.call, 'image-seal', name='kernel')
        refused('not-found', p.call, 'create', name='n', kernel='kernel', size_pages=500)
        refused('invalid', p.call, 'image-write', name='kernel', offset=8192, data=b'k' * 4096)
        p.call('image-write', name='kernel', offset=8192, data=b'k' * 1808)
        p.call('image-seal', name='kernel')
        refused('invalid', p.call, 'image-write', name='kernel', offset=0, data=b'x')
        p.call('create', name='n', kernel='kernel', size_pages=500)


def case_vanishing_peer():
    """half a request and the end of the line: the steward leaves in good order"""
    p = Peer(*QUICK)
    p.send(frame(p.request('list', id=1))[:30])
    expect(p.close() == 0)


# ---- Policies ---------------------------------------------------------------

def case_load_and_rollback():
    """load, trial, confirmation, parameters carried over, rollback"""
    with Peer(*QUICK) as p:
        p.call('policy-set', name='free_percent', value=7)
        answer = p.call('policy-load', file='equal')
        expect(answer['params']['free_percent'] == 7, answer['params'])
        expect(p.call('policy-info')['trial'])
        wait_for('the end of the trial', lambda: not p.call('policy-info')['trial'])
        kinds = [e['kind'] for e in p.call('events', seq=0)['events']]
        expect(kinds.count('policy-good') == 2, kinds)
        p.call('policy-set', name='free_percent', value=9)
        expect(p.call('policy-rollback')['name'] == 'proportional')
        info = p.call('policy-info')
        expect(info['params']['free_percent'] == 7 and info['rollbacks'] == 1, info)
        refused('not-found', p.call, 'policy-rollback')
        refused('not-found', p.call, 'policy-load', file='nosuch')


def case_staging():
    """a source longer than a chunk; and a source that is not the one meant is not loaded"""
    with Peer(*QUICK) as p:
        source = open('policy-lua/equal.lua').read() + '-- ' + 'x' * 10000
        expect(p.load('long', source)['name'] == 'long')
        shown = b''
        while True:
            answer = p.call('policy-show', slot='active', offset=len(shown))
            shown += answer['data']
            if len(shown) == answer['total']:
                break
        expect(shown.decode() == source and answer['name'] == 'long')
        args = p.stage('mine', source)
        refused('not-found', p.call, 'policy-load', **{**args, 'crc32': 5})
        p.stage('mine', 'return 1')
        refused('not-found', p.call, 'policy-check', **args)
        refused('out-of-range', p.call, 'policy-stage', name='big', offset=262144, data=b'x')


def case_policy_list():
    """every policy of the archive is listed, whatever was known when the steward was built"""
    with tempfile.TemporaryDirectory() as folder:
        for name in ('proportional.lua', 'another.lua', 'notes.txt', 'a b.lua', f"{'x' * 40}.lua"):
            with open(os.path.join(folder, name), 'w') as f:
                f.write(TICK % '')
        with Peer(*QUICK, f'policies={folder}') as p:
            listed = p.call('policy-list')['policies']
            names = [entry['name'] for entry in listed if entry['state'] == 'available']
            expect(names == ['another', 'proportional'], listed)
            expect(all(entry['bytes'] == len(TICK % '') for entry in listed), listed)
            p.call('policy-load', file='another')


def case_ledger():
    """the simulated machine's parts add up to the whole, with VMs and without"""
    for vms in (0, 4):
        with Peer(*QUICK, f'vms={vms}') as p:
            ledger = p.call('ledger')
            expect(ledger['differences'] == 0, ledger)


def case_params():
    """parameters: types, ranges, unknown names"""
    with Peer(*QUICK) as p:
        err = refused('bad-args', p.call, 'policy-set', name='nosuch', value=1)
        expect('free_percent' in err['reason'], err)
        refused('bad-args', p.call, 'policy-set', name='free_percent', value='lots')
        refused('bad-args', p.call, 'policy-set', name='free_percent', value=51)
        refused('bad-args', p.call, 'policy-set', name='free_percent', value=1.5)
        refused('bad-args', p.call, 'policy-set', name='fall', value=float('nan'))
        expect(p.call('policy-set', name='fall', value=0.75)['params']['fall'] == 0.75)
        p.call('policy-load', file='sharing')
        err = refused('bad-args', p.call, 'policy-set', name='groups', value='some')
        expect('groups must be one of: keep none all name' in err['reason'], err)
        refused('bad-args', p.call, 'policy-set', name='groups', value=1)
        expect(p.call('policy-set', name='groups', value='all')['params']['groups'] == 'all')
        p.call('policy-rollback')
        p.call('steward-kill', timeout=0.5)
        expect(p.call('policy-info')['params']['fall'] == 0.75, 'lost at a restart')


def case_shipped_policies():
    """every policy that comes with Tithe runs in the simulator, and what it is for can be seen there"""
    def of(vms, field):
        return sum(vm[field] for vm in vms)

    def simulate(policy, seen, *options, **params):
        with Peer('step-ms=2', 'cpus=2', *options) as p:
            p.call('policy-load', file=policy)
            for name, value in params.items():
                p.call('policy-set', name=name, value=value)
            first = p.call('snapshot')['vms']
            wait_for(policy, lambda: seen(p, first, p.call('snapshot')), 20)
            wait_for('a few more ticks', lambda: p.call('policy-info')['ticks'] > 40)
            host = p.call('info')['host']
            expect(host['plans_refused'] == 0 and p.call('policy-info')['name'] == policy, policy, host)
            expect(p.call('ledger')['differences'] == 0)

    def any_plan(p, first, now):
        return now['host']['plans_applied'] > 0

    def shares(p, first, now):
        return now['host']['shared_entries'] - now['host']['shared_frames'] > 8000 and of(now['vms'], 'cow_breaks') > 100

    def remaps(p, first, now):
        was, disks = ([vm['disk'] for vm in vms if vm.get('disk')] for vms in (first, now['vms']))
        return of(now['vms'], 'vacated_pages') > 0 and of(disks, 'direct') > of(disks, 'copied') > of(was, 'copied')

    def parks(p, first, now):
        kinds = [e['kind'] for e in p.call('events', seq=0)['events']]
        return 'vm-resumed' in kinds and kinds.index('vm-suspended') < kinds.index('vm-resumed')

    def populates(p, first, now):
        return of(now['vms'], 'populated_pages') > 0 and now['vms'][0]['populated_pages'] == 0

    for name in sorted(os.listdir('policy-lua')):
        if name.endswith('.lua'):
            simulate(name[:-4], any_plan, 'vms=20')
    simulate('sharing', shares, reuse_percent=0)
    simulate('remapped', remaps)
    simulate('parked', parks, 'drivers=0', park_seconds=30)
    simulate('ahead', populates, populate='vm2 vm3')


def case_state_survives():
    """what save() returns is there again after a death of the steward and a reload"""
    source = ("local p, n = { name = 'counter', api = 1 }, 0\n"
              "function p.tick() n = n + 1 print('tick ' .. n) end\n"
              "function p.save() return { n = n, [5] = 'x', list = { 1, 2, 3 }, raw = '\\1\\255' } end\n"
              "function p.restore(s, from) if from ~= 'counter' then return end n = s.n assert(s[5] == 'x' and s.list[3] == 3 and s.raw == '\\1\\255') end\n"
              "return p\n")
    with Peer(*QUICK) as p:
        p.load('counter', source)
        wait_for('ten ticks', lambda: p.call('policy-info')['ticks'] > 10)
        p.call('steward-kill', timeout=0.5)
        check = p.check('counter', source)
        expect(int(check['prints'][0].split()[1]) > 10, check['prints'])


BAD_SCRIPTS = {
    # name: (source, code, what the reason must have in it)
    'syntax error': ('local x =\nreturn {{', 'policy', 'bad.lua:2:'),
    'wrong api': ("return { name = 'x', api = 2, tick = function() end }", 'policy', 'api is 2'),
    'no api': ("return { name = 'x', tick = function() end }", 'policy', "no 'api'"),
    'no name': ('return { api = 1, tick = function() end }', 'policy', "'name'"),
    'no tick': ("return { name = 'x', api = 1 }", 'policy', "'tick'"),
    'tick no function': ("return { name = 'x', api = 1, tick = 5 }", 'policy', "'tick' is a number"),
    'no table': ('local x = 1', 'policy', 'returned nil'),
    'bad params': ("return { name = 'x', api = 1, tick = print, params = { a = {} } }", 'policy', 'params.a'),
    'bytecode': ('\x1bLua', 'policy', 'binary'),
    'empty': ('', 'not-found', 'staged'),
    'error': (TICK % "error('boom')", 'policy', 'bad.lua:3: boom'),
    'error without text': (TICK % 'error({})', 'policy', 'bad.lua:3:'),
    'loop': (TICK % 'while true do end', 'policy', 'bad.lua:3: more than'),
    'loop with pcall': (TICK % 'while true do pcall(function() while true do end end) end', 'policy', 'bad.lua:3: more'),
    'nested pcall': (TICK % 'local function f() while true do pcall(f) end end f()', 'policy', 'bad.lua:3: more than'),
    'loop while loading': ('while true do end', 'policy', 'bad.lua:1: more than'),
    'memory': (TICK % "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end", 'policy', 'bad.lua:3: not enough'),
    'huge string': (TICK % "return ('x'):rep(1e9)", 'policy', 'bad.lua:3: not enough memory'),
    'recursion': (TICK % 'local function f() return 1 + f() end f()', 'policy', 'bad.lua:3:'),
    'recursion through C': (TICK % "local t = setmetatable({}, {}) getmetatable(t).__index = function(_, k) return t[k] end"
                            " return t.x", 'policy', 'bad.lua:3:'),
    'finalizer': (TICK % 'setmetatable({}, { __gc = function() while true do end end })', 'policy', '__gc'),
    'NaN': (TICK % "return { { verb = 'balloon', vm = 1, size_pages = 0/0 } }", 'policy', 'bad.lua:2: tick: action 1'),
    'negative': (TICK % "return { { verb = 'balloon', vm = 1, size_pages = -1 } }", 'policy', 'below zero'),
    'fraction': (TICK % "return { { verb = 'balloon', vm = 1, size_pages = 5000.5 } }", 'policy', 'not a whole number'),
    'infinite': (TICK % "return { { verb = 'balloon', vm = 1, size_pages = 1/0 } }", 'policy', 'not a whole number'),
    'text for number': (TICK % "return { { verb = 'balloon', vm = '1', size_pages = 5 } }", 'policy', 'of type string'),
    'no size': (TICK % "return { { verb = 'balloon', vm = 1 } }", 'policy', "no 'size_pages'"),
    'unknown verb': (TICK % "return { { verb = 'swap', vm = 1, size_pages = 5 } }", 'policy', "'swap'"),
    'unknown field': (TICK % "return { { verb = 'balloon', vm = 1, size_pages = 5000, x = 1 } }", 'policy', "'x'"),
    'no list': (TICK % "return { verb = 'balloon', vm = 1, size_pages = 5000 }", 'policy', 'not a list'),
    'cycle': (TICK % 'local t = {} t[1] = t return t', 'policy', 'action 1'),
    'too long': (TICK % "local t = {} for i = 1, 1100 do t[i] = {} end return t", 'policy', 'more than 1024'),
    'no such VM': (TICK % "return { { verb = 'balloon', vm = 77, size_pages = 5000 } }", 'refused', 'no-such-vm'),
    'below min': (TICK % "return { { verb = 'balloon', vm = 1, size_pages = 0 } }", 'refused', 'below-min'),
    'above max': (TICK % "return { { verb = 'balloon', vm = 1, size_pages = 1 << 40 } }", 'refused', 'above-max'),
    'twice': (TICK % "local a = { verb = 'balloon', vm = 1, size_pages = 5000 } return { a, a }", 'refused', 'twice'),
    'sample: too many': (TICK % "return { { verb = 'sample', vm = 1, pages = 1025 } }", 'refused', 'too-many'),
    'sample: no method': (TICK % "return { { verb = 'sample', vm = 1, pages = 1, method = 'x' } }", 'policy', "method = 'x'"),
    'sample: method': (TICK % "return { { verb = 'sample', vm = 1, pages = 1, method = 1 } }", 'policy', 'of type number'),
    'sample: field': (TICK % "return { { verb = 'sample', vm = 1, pages = 1, size_pages = 1 } }", 'policy', "'size_pages'"),
    'sample: no pages': (TICK % "return { { verb = 'sample', vm = 1 } }", 'policy', "no 'pages'"),
    'populate: too many': (TICK % "return { { verb = 'populate', vm = 1, pages = vms[1].size_pages + 1 } }", 'refused', 'too-many'),
    'compress: too many': (TICK % "return { { verb = 'compress', vm = 1, pages = vms[1].size_pages + 1, percent = 50 } }", 'refused', 'too-many'),
    'compress: percent': (TICK % "return { { verb = 'compress', vm = 1, pages = 1, percent = 76 } }", 'refused', 'no-such-way'),
    'compress: no percent': (TICK % "return { { verb = 'compress', vm = 1, pages = 1 } }", 'policy', "no 'percent'"),
    'scan: order': (TICK % "return { { verb = 'scan', vm = 1, pages = 1, order = 'x' } }", 'policy', "order = 'x'"),
    'scan: too many': (TICK % "return { { verb = 'scan', vm = 1, pages = vms[1].size_pages + 1 } }", 'refused', 'too-many'),
    'group: none such': (TICK % "return { { verb = 'share-group', vm = 1, group = 128 } }", 'refused', 'no-such-way'),
    'group: pages': (TICK % "return { { verb = 'share-group', vm = 1, group = 1, pages = 1 } }", 'policy', "'pages'"),
    'colour: none such': (TICK % "return { { verb = 'colour', vm = 1, colours = 1 << host.colours, pages = 0 } }", 'refused', 'no-such-way'),
    'colour: too many': (TICK % "return { { verb = 'colour', vm = 1, colours = 1, pages = vms[1].size_pages + 1 } }", 'refused', 'too-many'),
    'colour: no pages': (TICK % "return { { verb = 'colour', vm = 1, colours = 1 } }", 'policy', "no 'pages'"),
    'remap: no copies': (TICK % "return { { verb = 'remap', vm = 1, pages = 1 } }", 'policy', "no 'copies'"),
    'vacate: which': (TICK % "return { { verb = 'vacate', vm = 1, pages = 1, which = 'x' } }", 'policy', "which = 'x'"),
    'double paging: choice': (TICK % "return { { verb = 'double-paging', vm = 1, avoid = 2 } }", 'refused', 'no-such-way'),
    'double paging: no choice': (TICK % "return { { verb = 'double-paging', vm = 1 } }", 'policy', "no 'avoid'"),
    'suspend: pages': (TICK % "return { { verb = 'suspend', vm = 1, pages = 1 } }", 'policy', "'pages'"),
    'resume: no pages': (TICK % "return { { verb = 'resume', vm = 1 } }", 'policy', "no 'pages'"),
    'sample: twice': (TICK % "local a = { verb = 'sample', vm = 1, pages = 5 } return { a, a }", 'refused', 'twice'),
    # These kill the steward; the reason comes from the core's event.
    'crash': (TICK % 'tithe.test.crash()', 'policy', 'candidate bad.lua:3 in tick'),
    'corrupt heap': (TICK % 'tithe.test.corrupt_heap()', 'policy', 'candidate bad.lua:'),
    'loop in C': (TICK % 'tithe.test.spin()', 'policy', 'candidate bad.lua:3 in tick'),
    'abort': (TICK % 'tithe.test.abort()', 'policy', 'candidate bad.lua:3 in tick'),
    'stack': (TICK % 'tithe.test.eat_stack()', 'policy', 'candidate bad.lua:3 in tick'),
    'pattern': (TICK % "return ('a'):rep(5000):find(('.-'):rep(20) .. 'b')", 'policy', 'candidate bad.lua:3 in tick'),
}


def case_bad_scripts():
    """every bad or hostile script is refused with file, line and reason, and the old policy stays"""
    with Peer(*HOSTILE) as p:
        for name, (source, code, words) in BAD_SCRIPTS.items():
            err = refused(code, p.load, 'bad', source, timeout=2)
            expect(words in err['reason'], name, err)
            expect(p.call('policy-info')['name'] == 'proportional', name)
        info = p.call('policy-info')
        expect(info['rollbacks'] == 0 and info['deaths'] == 0 and info['errors'] == 0, info)
        expect(p.call('ledger')['differences'] == 0)


LATER = {
    # A policy that behaves when it is checked, and misbehaves at its third tick.
    'error': ("error('boom')", 'late.lua:5: boom'),
    'bad plan': ("return { { verb = 'balloon', vm = 77, size_pages = 1 } }", 'no-such-vm'),
    'loop': ('while true do end', 'late.lua:5: more than'),
    'memory': ("local t = {} for i = 1, 1e9 do t[i] = {} end", 'late.lua:5: not enough memory'),
    'crash': ('tithe.test.crash()', 'policy late.lua:5 in tick'),
    'corrupt heap': ('tithe.test.corrupt_heap()', 'policy late.lua:'),
    'loop in C': ('tithe.test.spin()', 'policy late.lua:5 in tick'),
    'abort': ('tithe.test.abort()', 'policy late.lua:5 in tick'),
    'stack': ('tithe.test.eat_stack()', 'policy late.lua:5 in tick'),
}


def late(trial_ticks, what):
    return (f"local n, p = 0, {{ name = 't', api = 1, trial_ticks = {trial_ticks} }}\n"
            "function p.tick(host, vms, dt)\n"
            "n = n + 1\n"
            "if n < 4 then return end\n"
            f"{what}\n"
            "end\nreturn p\n")


def misbehave(trial_ticks):
    for name, (what, words) in LATER.items():
        with Peer(*HOSTILE) as p:
            p.load('late', late(trial_ticks, what))
            wait_for(f'{name}: the rollback', lambda: p.call('policy-info')['name'] == 'proportional', 10)
            info = p.call('policy-info')
            expect(info['rollbacks'] == 1 and words in info['rollback_reason'], name, info)
            ticks = info['ticks']
            wait_for(f'{name}: the old policy to run', lambda: p.call('policy-info')['ticks'] > ticks)
            expect(p.call('ledger')['differences'] == 0)
            expect(len(p.call('list')['vms']) == 4)


def case_trial_fails():
    """a policy that misbehaves on trial is rolled back, whatever it does"""
    misbehave(100)


def case_confirmed_fails():
    """a confirmed policy that keeps misbehaving is rolled back after a few times"""
    misbehave(1)


def case_first_policy_at_last():
    """with no previous policy, the first one of the archive takes over"""
    with Peer(*HOSTILE) as p:
        p.load('one', late(1, "error('x')"))
        wait_for('the first rollback', lambda: p.call('policy-info')['rollbacks'] == 1)
        p.load('two', late(1, "tithe.test.crash()"))
        wait_for('the second rollback', lambda: p.call('policy-info')['rollbacks'] == 2, 10)
        expect(p.call('policy-info')['name'] == 'proportional')


def case_sandbox():
    """what must not be there is not there; what must be there is"""
    with Peer(*HOSTILE) as p:
        p.check('box', TICK % "for _, n in ipairs{'io','os','debug','package','require','load','loadfile','dofile',"
                "'collectgarbage','coroutine','xpcall','loadstring'} do assert(_G[n] == nil, n) end\n"
                "assert(string.dump == nil and math.randomseed == nil)\n"
                "assert(type(getmetatable('')) == 'string')\n"
                "assert(not pcall(setmetatable, {}, { __gc = print }))\n"
                "assert(tithe.pages('64M') == 16384 and tithe.pages(4097) == 2 and tithe.clamp(5, 1, 3) == 3)\n"
                "assert(not pcall(tithe.pages, '64X') and not pcall(tithe.pages, -1) and not pcall(tithe.pages, 'x'))\n"
                "assert(tithe.text(384) == '1.5 MiB' and tithe.share.divide)\n"
                "assert(('x'):rep(3, ',') == 'x,x,x' and ('').rep('', 1 << 60) == '')\n"
                "assert(#vms == 4 and vms[1].id == 1 and vms[1].size_pages > 0 and vms[1].state == 'running')\n"
                "assert(host.total_pages == 65536 and dt > 0)\n")
        first = p.check('dice', TICK % 'print(math.random(1 << 30))')['prints']
        expect(p.check('dice', TICK % 'print(math.random(1 << 30))')['prints'] == first, 'random numbers differ')
        prints = p.check('loud', TICK % "for i = 1, 1000 do print(i, ('x'):rep(1000)) end")['prints']
        expect(len(prints) <= 33 and all(len(line) < 200 for line in prints), len(prints))
    with Peer(*QUICK) as p:
        p.check('box', TICK % 'assert(tithe.test == nil)')


def case_admit():
    """the policy's word on a new VM reaches the console; a broken admit() refuses"""
    no = "local p = { name = 't', api = 1 } function p.tick() end\nfunction p.admit(host, vm, vms)\n%s\nend return p"
    with Peer(*QUICK) as p:
        vm = {'name': 'n', 'kernel': 'vmlinuz', 'size_pages': 1000}
        p.load('no', no % "return false, 'not on a ' .. vm.size_pages")
        err = refused('refused', p.call, 'create', **vm)
        expect('not on a 1000' in err['reason'], err)
        p.load('broken', no % 'return 5')
        refused('policy', p.call, 'create', **vm)
        p.load('loop', no % 'while true do end')
        refused('policy', p.call, 'create', **vm)
        p.load('yes', no % 'return #vms == 4')
        p.call('create', **vm)


def case_events():
    """the policy hears of events; of a burst it hears at least that something changed"""
    source = ("local p, heard, many = { name = 't', api = 1 }, 0, 0\nfunction p.tick() end\n"
              "function p.event(host, vms, e)\nif e.kind == 'many' then many = many + 1 elseif e.kind == 'vm-changed' then "
              "heard = heard + 1 end print(e.kind, heard, many, #vms) end\nreturn p")
    with Peer(*QUICK) as p:
        p.load('ear', source)
        p.call('pause', vm=1)
        wait_for('the event', lambda: 'vm-paused' in p.drain_errors())
        for i in range(40):
            p.send(frame(p.request('shares', {'vm': 1, 'shares': i + 1}, id=1000 + i)))
        p.id = 2000
        wait_for('the burst', lambda: 'vm-changed' in p.drain_errors() or 'many' in p.drain_errors())


def case_memory_moves():
    """under the simulator, memory follows the workloads, and the machine never runs dry"""
    with Peer('step-ms=2', 'vms=6', 'seed=3') as p:
        low = 1 << 60
        seen = set()
        for _ in range(60):
            answer = p.call('snapshot')
            low = min(low, answer['host']['free_pages'])
            seen.add(tuple(vm['target_pages'] for vm in answer['vms']))
            time.sleep(0.02)
        host = answer['host']
        expect(host['plans_refused'] == 0 and host['plans_applied'] > 5, host)
        expect(len(seen) > 3, 'targets never moved')
        expect(low > host['reserve_pages'], f"free fell to {low}, the reserve is {host['reserve_pages']}")
        expect(p.call('ledger')['differences'] == 0)


def case_sampling():
    """samples end with the next one and come near the working set; the policy sees them as the peer does"""
    source = ("local p = { name = 't', api = 1 }\nfunction p.tick(host, vms)\nlocal s, plan = vms[1].sample, {}\n"
              "if s then print(('seen %d %d'):format(s.period, s.finished_touched)) end\n"
              "plan[1] = { verb = 'sample', vm = 1, pages = 1000, method = 'unmap' }\n"
              "plan[2] = { verb = 'balloon', vm = 1, size_pages = vms[1].max_pages }\nreturn plan\nend\nreturn p")
    with Peer(*QUICK) as p:
        p.load('sampler', source)
        wait_for('periods', lambda: p.call('info', vm=1)['vm'].get('sample', {}).get('period', 0) > 3)
        s = p.call('info', vm=1)['vm']['sample']
        expect(s['method'] == 'unmap' and s['pages'] == s['finished_pages'] == 1000, s)
        expect(0 < s['finished_touched'] < 1000, s)
        wait_for('the policy', lambda: 'seen 3 ' in p.drain_errors())
        expect('sample' not in p.call('info', vm=2)['vm'])


def case_thousand_deaths():
    """killed many times in a row: the machine, its VMs and the policy's parameters are as before"""
    with Peer('step-ms=5') as p:
        p.call('policy-set', name='free_percent', value=11)
        for _ in range(1000):
            p.call('steward-kill', timeout=1)
        expect(p.call('hello')['steward_restarts'] == 1000)
        info = p.call('policy-info')
        expect(info['name'] == 'proportional' and info['params']['free_percent'] == 11 and info['rollbacks'] == 0, info)
        expect(len(p.call('list')['vms']) == 4 and p.call('ledger')['differences'] == 0)


CASES = {name[5:]: body for name, body in list(globals().items()) if name.startswith('case_')}

if __name__ == '__main__':
    if len(sys.argv) != 2 or sys.argv[1] not in [*CASES, '--list']:
        sys.exit(__doc__)
    if sys.argv[1] == '--list':
        for name, body in CASES.items():
            print(name, body.__doc__, sep='\t')
    else:
        CASES[sys.argv[1]]()
