"""Pickle reader that can only build plain data: no class is looked up, nothing from the file is called.

Python's own unpickler is a machine that imports and calls what the file names. This one is written from scratch, knows
only the instructions a data pickle needs (protocols 2 to 5), and keeps a table of *stand-ins* for the few globals it
accepts; every other global or instruction is a ``Refusal``. What it can build is None, bool, int, float, str, tuple,
list, dict, set, ``Blob`` (bytes, left in the file) and whatever the stand-ins of the caller return.

Bounds: a length is compared with what the file still holds before anything is allocated; instructions and text are
counted against a ``Budget``; mapping keys are plain, so that no key can be made slow to hash or compare.
"""

import pickle
import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from panohead.interop.bounded_source import Refusal, Source, clip, decode, never

MAX_INSTRUCTIONS = 500_000  # a full-size checkpoint needs about 60 thousand
MAX_TEXT_BYTES = 16 * 2**20
MAX_INTEGER_BYTES = 16
MAX_OPEN_MARKS = 1000
MAX_KEY = 2**31  # limit of integers as mapping keys: larger ones can be chosen to collide


@dataclass(frozen=True)
class StandIn:
    """Replacement of a global that the file may name.

    ``call`` answers a call with a tuple of arguments, ``new`` an instance made without arguments; None refuses it.
    """

    name: str
    call: Callable[[tuple[Any, ...]], Any] | None = None
    new: Callable[[], Any] | None = None


@dataclass
class Budget:
    """Limits on the total work of one file, nested pickles included."""

    instructions: int = MAX_INSTRUCTIONS
    text_bytes: int = MAX_TEXT_BYTES

    def spend_instruction(self) -> None:
        """Count one instruction; refuse beyond the limit."""
        self.instructions -= 1
        if self.instructions < 0:
            raise never(f"has more than {MAX_INSTRUCTIONS} pickle instructions")

    def spend_text(self, count: int) -> None:
        """Count bytes of text; refuse beyond the limit."""
        self.text_bytes -= count
        if self.text_bytes < 0:
            raise never(f"holds more than {MAX_TEXT_BYTES} bytes of text")


def _refuse_build(target: Any, state: Any) -> None:
    raise never("sets the state of an object that has none")


def _refuse_persistent(identity: Any) -> Any:
    raise never("refers to data outside itself")


@dataclass
class Machine:
    """Reader of one pickle from ``source``: ``Machine(source, stand_ins).run()`` returns its value.

    ``build(target, state)`` answers the instruction that sets an object's state, ``persistent(id)`` the one that asks
    for an object kept outside the pickle; both refuse unless given. Raises ``Refusal`` for all but plain data.
    """

    source: Source
    stand_ins: Mapping[tuple[str, str], StandIn]
    build: Callable[[Any, Any], None] = _refuse_build
    persistent: Callable[[Any], Any] = _refuse_persistent
    budget: Budget = field(default_factory=Budget)
    stack: list[Any] = field(default_factory=list)
    outer: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def run(self) -> Any:
        """Return the value of the pickle; the source is left just behind its last byte."""
        head = self.source.take(2)
        if head[:1] != pickle.PROTO or not 2 <= head[1] <= 5:
            raise Refusal("is not a pickle of protocol 2 to 5.")
        take = self.source.take
        while True:
            code = take(1)[0]
            self.budget.spend_instruction()
            if code == pickle.STOP[0]:
                if len(self.stack) != 1 or self.outer:
                    raise Refusal("is damaged: its pickle ends in the middle of a value.")
                return self.stack.pop()
            instruction = INSTRUCTIONS.get(code)
            if instruction is None:
                self._refuse_instruction(code)
            else:
                instruction(self)

    def push(self, value: Any) -> None:
        """Push a value."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Remove and return the value on top."""
        if not self.stack:
            raise Refusal("is damaged: a pickle instruction finds no value.")
        return self.stack.pop()

    def top(self) -> Any:
        """Return the value on top."""
        if not self.stack:
            raise Refusal("is damaged: a pickle instruction finds no value.")
        return self.stack[-1]

    def pop_group(self) -> list[Any]:
        """Remove and return the values since the last mark."""
        if not self.outer:
            raise Refusal("is damaged: a pickle instruction finds no mark.")
        group, self.stack = self.stack, self.outer.pop()
        return group

    def number(self, layout: str) -> Any:
        """Read one number of this struct layout."""
        return struct.unpack(layout, self.source.take(struct.calcsize(layout)))[0]

    def _refuse_instruction(self, code: int) -> None:
        name = next((known.name for known in pickletools.opcodes if ord(known.code) == code), None)
        if name is None:
            raise Refusal(f"is damaged: byte {self.source.position - 1} is not a pickle instruction.")
        raise never(f"uses the pickle instruction {name}")

    # Framing, marks and the memo.

    def frame(self) -> None:
        """FRAME: check the announced length; frames carry no data."""
        length = self.number("<Q")
        if length > self.source.size - self.source.position:
            raise Refusal("is cut off or damaged: it announces more bytes than it holds; download it again.")

    def mark(self) -> None:
        """MARK: start a group of values."""
        if len(self.outer) == MAX_OPEN_MARKS:
            raise never(f"opens {MAX_OPEN_MARKS} values inside each other")
        self.outer.append(self.stack)
        self.stack = []

    def memoize(self) -> None:
        """MEMOIZE: remember the value on top under the next index."""
        self.memo[len(self.memo)] = self.top()

    def put(self, layout: str) -> None:
        """BINPUT, LONG_BINPUT: remember the value on top under an index."""
        self.memo[self.number(layout)] = self.top()

    def get(self, layout: str) -> None:
        """BINGET, LONG_BINGET: push a remembered value."""
        index = self.number(layout)
        if index not in self.memo:
            raise Refusal("is damaged: it refers back to a value it does not hold.")
        self.push(self.memo[index])

    # Leaves.

    def integer(self, layout: str) -> None:
        """LONG1, LONG4: push an integer of two's-complement bytes."""
        count = self.number(layout)
        if not 0 <= count <= MAX_INTEGER_BYTES:
            raise never(f"holds an integer of {count} bytes")
        self.push(int.from_bytes(self.source.take(count), "little", signed=True))

    def text(self, layout: str) -> None:
        """Push a text whose length has this layout."""
        count = self.number(layout)
        # The length check comes first: for a damaged length it gives the more accurate message.
        self.source.require(count)
        self.budget.spend_text(count)
        self.push(decode(self.source.take(count)))

    def blob(self, layout: str) -> None:
        """Push bytes, left in the file, whose length has this layout."""
        self.push(self.source.skip(self.number(layout)))

    # Containers.

    def fixed_tuple(self, count: int) -> None:
        """TUPLE1 to TUPLE3: push a tuple of the values on top."""
        values = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(values)))

    def extend_list(self, values: list[Any]) -> None:
        """APPEND, APPENDS: extend the list on top."""
        target = self.top()
        if type(target) is not list:
            raise Refusal("is damaged: it appends to something that is not a list.")
        target.extend(values)

    def set_items(self, values: list[Any]) -> None:
        """SETITEMS: set keys and values in the dict on top."""
        target = self.top()
        if type(target) is not dict:
            raise Refusal("is damaged: it sets items of something that is not a dict.")
        if len(values) % 2:
            raise Refusal("is damaged: it holds a key without a value.")
        for key, value in zip(values[::2], values[1::2], strict=True):
            _check_key(key)
            target[key] = value

    def set_item(self) -> None:
        """SETITEM: set one key of the dict on top."""
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def add_items(self) -> None:
        """ADDITEMS: add to the set on top."""
        values = self.pop_group()
        target = self.top()
        if type(target) is not set:
            raise Refusal("is damaged: it adds to something that is not a set.")
        for value in values:
            _check_key(value)
            target.add(value)

    # Globals and what is done with them: the table of stand-ins decides, nothing is imported.

    def named_global(self, module: Any, name: Any) -> None:
        """Push the stand-in of a global; refuse any other."""
        if type(module) is not str or type(name) is not str:
            raise Refusal("is damaged: it names a global by something that is not text.")
        stand_in = self.stand_ins.get((module, name))
        if stand_in is None:
            wanted = clip(f"{module}.{name}")
            raise Refusal(f"asks for {wanted}, which an official checkpoint never needs; refusing to read it.")
        self.push(stand_in)

    def stack_global(self) -> None:
        """STACK_GLOBAL: push the global named by the two values on top."""
        name, module = self.pop(), self.pop()
        self.named_global(module, name)

    def line_global(self) -> None:
        """GLOBAL: push the global named by two lines."""
        module = self.source.take_line()
        self.named_global(module, self.source.take_line())

    def reduce(self) -> None:
        """REDUCE: call a stand-in with a tuple of arguments."""
        arguments, target = self.pop(), self.pop()
        if type(arguments) is not tuple:
            raise Refusal("is damaged: it calls something without a tuple of arguments.")
        if type(target) is not StandIn or target.call is None:
            raise never(f"calls {_name_of(target)} as a function")
        self.push(target.call(arguments))

    def new_object(self) -> None:
        """NEWOBJ: make an instance by a stand-in, without arguments."""
        arguments, target = self.pop(), self.pop()
        if type(target) is not StandIn or target.new is None:
            raise never(f"makes an object of {_name_of(target)}")
        if type(arguments) is not tuple or arguments:
            raise never(f"makes {target.name} with arguments")
        self.push(target.new())

    def build_object(self) -> None:
        """BUILD: set the state of the object on top."""
        state = self.pop()
        self.build(self.top(), state)

    def persistent_object(self) -> None:
        """BINPERSID: push the object that ``persistent`` returns."""
        self.push(self.persistent(self.pop()))


def _name_of(target: Any) -> str:
    return target.name if type(target) is StandIn else f"a value ({type(target).__name__})"


def _check_key(key: Any) -> None:
    if type(key) is int and abs(key) < MAX_KEY:
        return
    if key is not None and type(key) not in (str, bool):
        raise Refusal(f"uses a {type(key).__name__} as a key where an official checkpoint uses names or small numbers.")


# All supported instructions. The others (proto-0 text opcodes, INST, OBJ, NEWOBJ_EX, EXT*, PERSID, buffers, DUP, POP)
# are refused by name.
INSTRUCTIONS: dict[int, Callable[[Machine], None]] = {
    pickle.FRAME[0]: Machine.frame,
    pickle.MARK[0]: Machine.mark,
    pickle.MEMOIZE[0]: Machine.memoize,
    pickle.BINPUT[0]: lambda machine: machine.put("<B"),
    pickle.LONG_BINPUT[0]: lambda machine: machine.put("<I"),
    pickle.BINGET[0]: lambda machine: machine.get("<B"),
    pickle.LONG_BINGET[0]: lambda machine: machine.get("<I"),
    pickle.NONE[0]: lambda machine: machine.push(None),
    pickle.NEWTRUE[0]: lambda machine: machine.push(True),
    pickle.NEWFALSE[0]: lambda machine: machine.push(False),
    pickle.BININT[0]: lambda machine: machine.push(machine.number("<i")),
    pickle.BININT1[0]: lambda machine: machine.push(machine.number("<B")),
    pickle.BININT2[0]: lambda machine: machine.push(machine.number("<H")),
    pickle.LONG1[0]: lambda machine: machine.integer("<B"),
    pickle.LONG4[0]: lambda machine: machine.integer("<i"),
    pickle.BINFLOAT[0]: lambda machine: machine.push(machine.number(">d")),
    pickle.SHORT_BINUNICODE[0]: lambda machine: machine.text("<B"),
    pickle.BINUNICODE[0]: lambda machine: machine.text("<I"),
    pickle.BINUNICODE8[0]: lambda machine: machine.text("<Q"),
    pickle.SHORT_BINBYTES[0]: lambda machine: machine.blob("<B"),
    pickle.BINBYTES[0]: lambda machine: machine.blob("<I"),
    pickle.BINBYTES8[0]: lambda machine: machine.blob("<Q"),
    pickle.EMPTY_TUPLE[0]: lambda machine: machine.push(()),
    pickle.TUPLE1[0]: lambda machine: machine.fixed_tuple(1),
    pickle.TUPLE2[0]: lambda machine: machine.fixed_tuple(2),
    pickle.TUPLE3[0]: lambda machine: machine.fixed_tuple(3),
    pickle.TUPLE[0]: lambda machine: machine.push(tuple(machine.pop_group())),
    pickle.EMPTY_LIST[0]: lambda machine: machine.push([]),
    pickle.APPEND[0]: lambda machine: machine.extend_list([machine.pop()]),
    pickle.APPENDS[0]: lambda machine: machine.extend_list(machine.pop_group()),
    pickle.EMPTY_DICT[0]: lambda machine: machine.push({}),
    pickle.SETITEM[0]: Machine.set_item,
    pickle.SETITEMS[0]: lambda machine: machine.set_items(machine.pop_group()),
    pickle.EMPTY_SET[0]: lambda machine: machine.push(set()),
    pickle.ADDITEMS[0]: Machine.add_items,
    pickle.GLOBAL[0]: Machine.line_global,
    pickle.STACK_GLOBAL[0]: Machine.stack_global,
    pickle.REDUCE[0]: Machine.reduce,
    pickle.NEWOBJ[0]: Machine.new_object,
    pickle.BUILD[0]: Machine.build_object,
    pickle.BINPERSID[0]: Machine.persistent_object,
}
