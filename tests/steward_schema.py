# SPDX-License-Identifier: MIT
"""Checks answers against docs/protocol.cddl, read by a parser for the part of CDDL (RFC 8610) that it uses."""
import os
import re

CDDL = os.path.join(os.path.dirname(__file__), '..', 'docs', 'protocol.cddl')

TOKEN = re.compile(r'\s+|;[^\n]*|(?P<token>"[^"]*"|=>|\.\.|\.size|\.regexp|[A-Za-z][A-Za-z0-9_-]*|[0-9]+|[{}()\[\]:,=/?*])')


def tokens(text):
    at, out = 0, []
    while at < len(text):
        m = TOKEN.match(text, at)
        if m is None:
            raise SyntaxError(f'protocol.cddl: {text[at:at + 30]!r}')
        if m.group('token'):
            out.append(m.group('token'))
        at = m.end()
    return out


class Parser:
    """rule = type; type = choice {"/" choice}. Trees are tuples."""

    def __init__(self, text):
        self.t = tokens(text)
        self.i = 0

    def peek(self, ahead=0):
        return self.t[self.i + ahead] if self.i + ahead < len(self.t) else None

    def take(self, want=None):
        token = self.peek()
        if want is not None and token != want:
            raise SyntaxError(f'protocol.cddl: {want!r} expected, found {self.t[self.i - 3:self.i + 3]}')
        self.i += 1
        return token

    def rules(self):
        rules = {}
        while self.peek() is not None:
            name = self.take()
            self.take('=')
            rules[name] = self.type()
        return rules

    def type(self):
        choices = [self.primary()]
        while self.peek() == '/':
            self.take()
            choices.append(self.primary())
        return choices[0] if len(choices) == 1 else ('or', choices)

    def primary(self):
        token = self.take()
        if token == '{':
            return self.members()
        if token == '[':
            return self.items()
        if token == '(':
            inner = self.type()
            self.take(')')
            return inner
        if token.startswith('"'):
            value = ('is', token[1:-1])
        elif token.isdigit():
            value = ('is', int(token))
        else:
            value = ('name', token)
        if self.peek() == '..':
            self.take()
            return ('range', int(token), int(self.take()))
        if self.peek() in ('.size', '.regexp'):
            control = self.take()
            return ('control', value, control, self.primary())
        return value

    def members(self):
        members, wild = {}, None
        while self.peek() != '}':
            mark = self.take() if self.peek() in ('?', '*') else None
            if mark == '*':
                self.type()
                self.take('=>')
                wild = self.type()
            else:
                key = self.take()
                self.take(':')
                members[key] = (mark == '?', self.type())
            if self.peek() == ',':
                self.take()
        self.take('}')
        return ('map', members, wild)

    def items(self):
        items = []
        while self.peek() != ']':
            many = self.peek() == '*'
            if many:
                self.take()
            items.append((many, self.type()))
            if self.peek() == ',':
                self.take()
        self.take(']')
        return ('array', items)


RULES = Parser(open(CDDL).read()).rules()

PRELUDE = {
    'any': lambda v: True,
    'uint': lambda v: isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 1 << 64,
    'int': lambda v: isinstance(v, int) and not isinstance(v, bool),
    'float': lambda v: isinstance(v, float),
    'bool': lambda v: isinstance(v, bool),
    'true': lambda v: v is True,
    'tstr': lambda v: isinstance(v, str),
    'bytes': lambda v: isinstance(v, bytes),
}


def why_not(tree, value, path):
    """None when the value is of the type, else where and why it is not."""
    kind = tree[0]
    bad = f'{path}: {value!r:.80} is not {tree!r:.80}'
    if kind == 'or':
        reasons = [why_not(choice, value, path) for choice in tree[1]]
        return None if None in reasons else reasons[-1]
    if kind == 'name':
        if tree[1] in PRELUDE:
            return None if PRELUDE[tree[1]](value) else bad
        return why_not(RULES[tree[1]], value, path)
    if kind == 'is':
        return None if value == tree[1] and not isinstance(value, bool) else bad
    if kind == 'range':
        return None if isinstance(value, int) and tree[1] <= value <= tree[2] else bad
    if kind == 'control':
        if (why := why_not(tree[1], value, path)) is not None:
            return why
        if tree[2] == '.size':
            return why_not(tree[3], len(value), path)
        return None if re.fullmatch(tree[3][1], value) else bad
    if kind == 'array':
        return why_not_array(tree[1], value, path)
    return why_not_map(tree[1], tree[2], value, path)


def why_not_array(items, value, path):
    if not isinstance(value, list):
        return f'{path}: not an array'
    if len(items) == 1 and items[0][0]:
        reasons = (why_not(items[0][1], v, f'{path}[{i}]') for i, v in enumerate(value))
        return next((why for why in reasons if why), None)
    if len(items) != len(value):
        return f'{path}: {len(value)} items, want {len(items)}'
    return next((why for (_, t), v in zip(items, value) if (why := why_not(t, v, path))), None)


def why_not_map(members, wild, value, path):
    if not isinstance(value, dict):
        return f'{path}: not a map'
    for key, (optional, _) in members.items():
        if key not in value and not optional:
            return f'{path}: no {key}'
    for key, item in value.items():
        tree = members[key][1] if key in members else wild
        if tree is None:
            return f'{path}: {key} is not in the schema'
        if (why := why_not(tree, item, f'{path}.{key}')) is not None:
            return why
    return None


def check_answer(verb, answer):
    """Raises when the "ok" map of an answer is not of the schema's shape for the verb."""
    _, tree = RULES['exchange'][1][verb]
    why = why_not(tree[1][1][1], answer, verb)
    if why is not None:
        raise AssertionError(f'not as protocol.cddl says: {why}')
