"""Forged and damaged pickles: what each is, its bytes, and a fragment of the sentence that must refuse it."""

import pickle
import struct
from dataclasses import dataclass

from interop.hostile import (
    blob,
    call,
    checkpoint,
    finish,
    mapping,
    named,
    network,
    number,
    numbers,
    ordered,
    scalar,
    several,
    stored,
    stream,
    tensor,
    text,
)

CANARY = "canary_was_touched"  # the forged files try to make this file in the working directory


@dataclass(frozen=True)
class Case:
    name: str
    data: bytes
    says: str  # a fragment of the sentence it must be refused with


TOUCH = f"touch {CANARY}"
PYTHON = f"open({CANARY!r}, 'w').close()"

# (module, name, arguments): called, these would run code, read or change files, or open the network.
DANGEROUS_CALLS: list[tuple[str, str, list[bytes]]] = [
    ("os", "system", [text(TOUCH)]),
    ("posix", "system", [text(TOUCH)]),
    ("nt", "system", [text(TOUCH)]),
    ("os", "popen", [text(TOUCH)]),
    ("os", "execvp", [text("touch"), several(text("touch"), text(CANARY))]),
    ("subprocess", "Popen", [several(text("touch"), text(CANARY))]),
    ("subprocess", "check_output", [several(text("touch"), text(CANARY))]),
    ("pty", "spawn", [text(TOUCH)]),
    ("builtins", "eval", [text(PYTHON)]),
    ("builtins", "exec", [text(PYTHON)]),
    ("builtins", "compile", [text(PYTHON), text("x"), text("exec")]),
    ("builtins", "__import__", [text("os")]),
    ("builtins", "open", [text(CANARY), text("w")]),
    ("builtins", "getattr", [mapping(), text("__class__")]),
    ("builtins", "setattr", [mapping(), text("a"), number(1)]),
    ("builtins", "breakpoint", []),
    ("builtins", "map", [named("os", "system"), several(text(TOUCH))]),
    ("builtins", "bytearray", [number(10**10)]),
    ("builtins", "print", [text("hello")]),
    ("__builtin__", "eval", [text(PYTHON)]),
    ("functools", "partial", [named("os", "system"), text(TOUCH)]),
    ("functools", "reduce", [named("os", "system"), several(text(TOUCH))]),
    ("operator", "attrgetter", [text("__class__.__base__")]),
    ("operator", "methodcaller", [text("system"), text(TOUCH)]),
    ("types", "FunctionType", [pickle.NONE, mapping()]),
    ("types", "CodeType", [number(0)]),
    ("importlib", "import_module", [text("antigravity")]),
    ("runpy", "run_path", [text("/tmp/x.py")]),
    ("timeit", "timeit", [text(PYTHON)]),
    ("pdb", "run", [text(PYTHON)]),
    ("cProfile", "run", [text(PYTHON)]),
    ("code", "interact", []),
    ("ctypes", "CDLL", [text("libc.so.6")]),
    ("marshal", "loads", [blob(b"N")]),
    ("pickle", "loads", [blob(finish(call("os", "system", text(TOUCH))))]),
    ("_pickle", "loads", [blob(finish(call("os", "system", text(TOUCH))))]),
    ("copyreg", "_reconstructor", [named("builtins", "dict"), named("builtins", "dict"), mapping()]),
    ("copyreg", "__newobj__", [named("builtins", "dict")]),
    ("copyreg", "add_extension", [text("os"), text("system"), number(1)]),
    ("_codecs", "encode", [text("x"), text("latin1")]),
    ("shutil", "rmtree", [text(CANARY)]),
    ("os", "remove", [text(CANARY)]),
    ("pathlib", "PosixPath", [text(CANARY)]),
    ("webbrowser", "open", [text("http://127.0.0.1:9")]),
    ("urllib.request", "urlopen", [text("http://127.0.0.1:9")]),
    ("socket", "create_connection", [several(text("127.0.0.1"), number(9))]),
    ("torch", "load", [text(CANARY)]),
    ("torch.serialization", "load", [text(CANARY)]),
    ("torch.hub", "load", [text("a/b"), text("c")]),
    ("torch.jit", "load", [text(CANARY)]),
    ("torch.utils.cpp_extension", "load_inline", [text("x")]),
    ("torch._utils", "_rebuild_tensor", [number(1)]),
    ("torch._tensor", "_rebuild_from_type_v2", [number(1)]),
    ("torch.nn.modules.linear", "Linear", [number(10**9), number(10**9)]),
    ("numpy", "load", [text(CANARY)]),
    ("numpy", "fromfile", [text("/etc/passwd")]),
    ("numpy.core.multiarray", "_reconstruct", [named("numpy", "ndarray"), several(number(0)), blob(b"b")]),
    ("numpy.testing._private.utils", "runstring", [text(PYTHON), mapping()]),
    ("dnnlib.util", "construct_class_by_name", [text("os.system")]),
    ("dnnlib.util", "open_url", [text("http://127.0.0.1:9")]),
    ("torch_utils.persistence", "import_hook", [named("os", "system")]),
    ("training.volumetric_rendering.ray_sampler", "os.system", [text(TOUCH)]),
    ("collections", "OrderedDict.fromkeys", [text("a")]),
    ("torch.storage", "_load_from_bytes.__globals__", []),
    ("torch.storage", "os.system", [text(TOUCH)]),
    ("numpy", "dtype.__class__", [text("x"), several(), mapping()]),
    ("sys", "modules", []),
    ("os\nsystem", "a\x1b[31mb\ud7ff\n", []),
    ("x" * 5000, "y" * 5000, []),
]


def dangerous_calls() -> list[Case]:
    """Each forbidden global, called where a network's attribute should be."""
    return [
        Case(
            f"call {module[:30]}.{name[:30]}".replace("\n", " "),
            checkpoint(value=call(module, name, *rest)),
            "asks for",
        )
        for module, name, rest in DANGEROUS_CALLS
    ]


def executing_pickles() -> list[bytes]:
    """Those that really make the canary under Python's own unpickler: the proof that the tests can fail."""
    names = {("os", "system"), ("posix", "system"), ("subprocess", "check_output"), ("builtins", "eval")}
    names |= {("builtins", "exec"), ("pickle", "loads")}
    return [finish(call(module, name, *rest)) for module, name, rest in DANGEROUS_CALLS if (module, name) in names]


def instruction_cases() -> list[Case]:
    """Instructions and uses of instructions that an official checkpoint does not have."""
    system = named("os", "system")
    softplus = named("torch.nn.modules.activation", "Softplus") + pickle.EMPTY_TUPLE + pickle.NEWOBJ
    easy = named("dnnlib.util", "EasyDict")
    ordered_dict = named("collections", "OrderedDict")
    bodies = {
        "GLOBAL": (b"cos\nsystem\n" + several(text(TOUCH)) + pickle.REDUCE, "asks for os.system"),
        "GLOBAL without end": (b"c" + b"o" * 1000, "without an end"),
        "INST": (b"(" + text(TOUCH) + b"ios\nsystem\n", "INST"),
        "OBJ": (b"(" + ordered_dict + text(TOUCH) + b"o", "OBJ"),
        "NEWOBJ of a function": (system + several(text(TOUCH)) + pickle.NEWOBJ, "asks for os.system"),
        "NEWOBJ of OrderedDict": (ordered_dict + several() + pickle.NEWOBJ, "makes an object of OrderedDict"),
        "NEWOBJ of a dict": (mapping() + several() + pickle.NEWOBJ, "makes an object of a value (dict)"),
        "NEWOBJ with arguments": (easy + several(number(1)) + pickle.NEWOBJ, "EasyDict with arguments"),
        "NEWOBJ_EX": (easy + several() + mapping(a=number(1)) + pickle.NEWOBJ_EX, "NEWOBJ_EX"),
        "EXT1": (pickle.EXT1 + b"\x01", "EXT1"),
        "EXT4": (pickle.EXT4 + b"\x01\x00\x00\x00", "EXT4"),
        "PERSID": (b"Pos.system\n", "PERSID"),
        "BINPERSID": (text("os.system") + pickle.BINPERSID, "refers to data outside itself"),
        "REDUCE of text": (text("os.system") + several() + pickle.REDUCE, "calls a value (str)"),
        "REDUCE of EasyDict": (easy + several() + pickle.REDUCE, "calls EasyDict"),
        "REDUCE of a network": (network() + several() + pickle.REDUCE, "calls a value (OfficialModule)"),
        "REDUCE without a tuple": (ordered_dict + text("ab") + pickle.REDUCE, "without a tuple"),
        "OrderedDict with content": (call("collections", "OrderedDict", several(text("ab"))), "fills an OrderedDict"),
        "BUILD on a dict": (mapping(a=number(1)) + mapping(__class__=number(1)) + pickle.BUILD, "sets the state"),
        "BUILD on EasyDict": (
            easy + several() + pickle.NEWOBJ + mapping(__setattr__=number(1), update=number(2)) + pickle.BUILD,
            "sets the state",
        ),
        "BUILD on a global": (ordered_dict + mapping(call=number(1)) + pickle.BUILD, "sets the state"),
        "BUILD on a tensor": (tensor() + mapping(grad_fn=number(1)) + pickle.BUILD, "sets the state"),
        "BUILD twice": (softplus + 2 * (mapping(a=number(1)) + pickle.BUILD), "sets the state"),
        "BUILD with slots": (softplus + several(mapping(), mapping(a=number(1))) + pickle.BUILD, "sets the state"),
        "BUILD without names": (softplus + pickle.EMPTY_DICT + number(1) * 2 + b"s" + pickle.BUILD, "has no name"),
        "BYTEARRAY8": (pickle.BYTEARRAY8 + struct.pack("<Q", 10**10), "BYTEARRAY8"),
        "NEXT_BUFFER": (pickle.NEXT_BUFFER, "NEXT_BUFFER"),
        "DUP": (number(1) + pickle.DUP, "DUP"),
        "POP": (number(1) + pickle.POP, "POP"),
        "text INT": (b"I" + b"9" * 100 + b"\n", "INT"),
        "STRING": (b"S'touch'\n", "STRING"),
        "FROZENSET": (b"(" + pickle.FROZENSET, "FROZENSET"),
        "second PROTO": (pickle.PROTO + b"\x04", "PROTO"),
        "unknown instruction": (b"\xff", "is not a pickle instruction"),
        "global from numbers": (number(1) + number(2) + pickle.STACK_GLOBAL, "names a global by something"),
        "surrogate text": (pickle.SHORT_BINUNICODE + b"\x03\xed\xa0\x80", "not UTF-8"),
        "empty stack": (pickle.POP_MARK, "POP_MARK"),
        "pop from nothing": (pickle.TUPLE3, "finds no value"),
        "unknown memo": (pickle.BINGET + b"\x07", "refers back"),
        "memoize nothing": (pickle.MARK + pickle.MEMOIZE, "finds no value"),
        "append to a number": (number(1) + number(2) + pickle.APPEND, "not a list"),
        "items of a list": (pickle.EMPTY_LIST + number(1) + number(2) + pickle.SETITEM, "not a dict"),
        "items of a network": (network() + number(1) + number(2) + pickle.SETITEM, "not a dict"),
        "key without value": (pickle.EMPTY_DICT + pickle.MARK + number(1) + pickle.SETITEMS, "key without a value"),
        "add to a list": (pickle.EMPTY_LIST + pickle.MARK + number(1) + pickle.ADDITEMS, "not a set"),
        "float as key": (pickle.EMPTY_DICT + b"G" + bytes(8) + pickle.NONE + pickle.SETITEM, "as a key"),
        "tuple as key": (pickle.EMPTY_DICT + several() + pickle.NONE + pickle.SETITEM, "as a key"),
        "list as key": (pickle.EMPTY_DICT + pickle.EMPTY_LIST + pickle.NONE + pickle.SETITEM, "as a key"),
        "colliding key": (pickle.EMPTY_DICT + number(2**61 - 1) + pickle.NONE + pickle.SETITEM, "as a key"),
        "list in a set": (pickle.EMPTY_SET + pickle.MARK + pickle.EMPTY_LIST + pickle.ADDITEMS, "as a key"),
        "bare global": (ordered_dict, "not plain data (StandIn)"),
        "bare bytes": (blob(b"x"), "not plain data (Blob)"),
        "bare storage": (
            call("torch.storage", "_load_from_bytes", blob(stream(bytes(4), 1))),
            "not plain data (Storage)",
        ),
        "bare dtype": (call("numpy", "dtype", text("f8"), number(0), number(1)), "not plain data (_NumberType)"),
    }
    return [Case(f"instruction: {name}", checkpoint(value=body), says) for name, (body, says) in bodies.items()]


def claim_cases() -> list[Case]:
    """Lengths far beyond the file, and little files that unfold into much."""
    huge = struct.pack("<Q", 10**10)
    doubling = (
        pickle.EMPTY_LIST
        + pickle.MEMOIZE
        + b"".join(
            pickle.EMPTY_LIST + pickle.MEMOIZE + b"(" + 2 * (pickle.BINGET + bytes([level])) + pickle.APPENDS
            for level in range(60)
        )
    )
    repeated = text("x" * 60_000) + pickle.MEMOIZE + b"(" + 100_000 * (pickle.BINGET + b"\x00") + pickle.TUPLE
    itself = pickle.EMPTY_LIST + pickle.MEMOIZE + pickle.BINGET + b"\x00" + pickle.APPEND
    loop = pickle.EMPTY_DICT + pickle.MEMOIZE + text("a") + several(pickle.BINGET + b"\x00") + pickle.SETITEM
    module_loop = (
        named("torch.nn.modules.activation", "Softplus") + several() + pickle.NEWOBJ + pickle.MEMOIZE
        + pickle.EMPTY_DICT + text("a") + pickle.BINGET + b"\x00" + pickle.SETITEM + pickle.BUILD
    )  # fmt: skip
    bodies = {
        "10 GB of text": (pickle.BINUNICODE8 + huge, "announces more bytes"),
        "4 GB of text": (pickle.BINUNICODE + b"\xff" * 4, "announces more bytes"),
        "10 GB of bytes": (pickle.BINBYTES8 + huge, "announces more bytes"),
        "2**64 of bytes": (pickle.BINBYTES8 + b"\xff" * 8, "announces more bytes"),
        "10 GB frame": (pickle.FRAME + huge, "announces more bytes"),
        "2 GB integer": (pickle.LONG4 + struct.pack("<i", 2**31 - 1), "integer of 2147483647 bytes"),
        "negative integer": (pickle.LONG4 + struct.pack("<i", -5), "integer of -5 bytes"),
        "long integer": (pickle.LONG1 + b"\xff" + bytes(255), "integer of 255 bytes"),
        "much text": (text("x" * (17 * 2**20)), "bytes of text"),
        "many instructions": (pickle.MARK + pickle.NONE * 550_000 + pickle.TUPLE, "pickle instructions"),
        "endless marks": (pickle.MARK * 550_000, "inside each other"),
        "deep tuples": (pickle.EMPTY_TUPLE + pickle.TUPLE1 * 100_000, "deeper"),
        "deep lists": (pickle.EMPTY_LIST * 100_000 + pickle.APPEND * 99_999, "deeper"),
        "deep dicts": ((pickle.EMPTY_DICT + text("a")) * 50_000 + pickle.NONE + pickle.SETITEM * 50_000, "deeper"),
        "doubling lists": (several(doubling), "unfolds"),
        "repeated text": (several(repeated), "unfolds"),
        "list in itself": (itself, "contains itself"),
        "dict in itself": (loop, "contains itself"),
        "module in itself": (module_loop, "contains itself"),
        "deep modules": (_nested_modules(3000), "deeper"),
    }
    storages = {"storage of 40 GB": stream(b"", 10**10), "storage of 2**65 bytes": stream(b"", 2**63 - 1)}
    return [Case(f"claim: {name}", checkpoint(value=body), says) for name, (body, says) in bodies.items()] + [
        Case(f"claim: {name}", stored(data), "and holds 0") for name, data in storages.items()
    ]


def _nested_modules(depth: int) -> bytes:
    one = named("torch.nn.modules.activation", "Softplus") + pickle.EMPTY_TUPLE + pickle.NEWOBJ
    return (one + pickle.EMPTY_DICT + text("a")) * depth + pickle.NONE + (pickle.SETITEM + pickle.BUILD) * depth


def tensor_cases() -> list[Case]:
    """Tensors that reach outside their storage, and storages that are not what they say."""
    raw = struct.pack("<4f", 0, 1, 2, 3)
    offset, beyond = "whole numbers", "reaches beyond"
    views = {
        "negative offset": (tensor(offset=number(-1)), offset),
        "negative stride": (tensor(offset=number(3), stride=numbers(-1)), offset),
        "negative size": (tensor(size=numbers(-4)), offset),
        "float size": (tensor(size=several(b"G" + struct.pack(">d", 4.0))), offset),
        "bool stride": (tensor(stride=several(pickle.NEWTRUE)), offset),
        "size as a list": (tensor(size=pickle.EMPTY_LIST), offset),
        "offset too far": (tensor(offset=number(1)), beyond),
        "offset enormous": (tensor(offset=number(2**63 - 1)), beyond),
        "stride too far": (tensor(size=numbers(2), stride=numbers(4)), beyond),
        "stride overflow": (tensor(size=numbers(3), stride=numbers(2**63)), beyond),
        "size overflow": (tensor(size=numbers(2**33, 2**33), stride=numbers(2**33, 1)), beyond),
        "expanded": (tensor(size=numbers(10**12), stride=numbers(0)), beyond),
        "empty but huge": (tensor(size=numbers(0, 2**62, 2**62), stride=numbers(1, 1, 1)), "impossible size"),
        "empty but far": (tensor(offset=number(5), size=numbers(0)), beyond),
        "nine dimensions": (tensor(size=numbers(*[1] * 9), stride=numbers(*[1] * 9)), "9 sizes"),
        "more sizes than strides": (tensor(size=numbers(2, 2), stride=numbers(1)), "2 sizes and 1 strides"),
        "no storage": (tensor(storage=number(1)), "other than a storage"),
        "storage from text": (tensor(call("torch.storage", "_load_from_bytes", text("x"))), "other than its own bytes"),
        "tensor from nothing": (call("torch._utils", "_rebuild_tensor_v2"), "other than a storage"),
        "parameter of text": (
            call("torch._utils", "_rebuild_parameter", text("x"), pickle.NEWTRUE, mapping()),
            "other than a tensor",
        ),
        "many views": (_many_views(), "many times larger"),
    }
    os_system = finish(call("os", "system", text(TOUCH)), protocol=2)
    start = stream(raw, 4)
    storages = {
        "hostile magic": (os_system + start, "stored tensor that asks for os.system"),
        "hostile reference": (stream(raw, 4, reference=os_system), "stored tensor that asks for os.system"),
        "official global inside": (
            stream(raw, 4, reference=finish(call("collections", "OrderedDict"), protocol=2)),
            "asks for collections.OrderedDict",
        ),
        "quantized storage": (stream(raw, 4, kind="QInt8Storage"), "asks for torch.QInt8Storage"),
        "complex storage": (stream(raw, 4, kind="ComplexFloatStorage"), "asks for torch.ComplexFloatStorage"),
        "no reference": (stream(raw, 4, reference=finish(number(1), protocol=2)), "other than a storage"),
        "a module": (stream(raw, 4, reference=finish(several(text("module")) + b"Q", protocol=2)), "one whole storage"),
        "reference of numbers": (
            stream(raw, 4, reference=finish(several(text("storage"), *[number(1)] * 4, pickle.NONE) + b"Q")),
            "malformed",
        ),
        "zip inside": (b"PK\x03\x04" + bytes(100), "zip archive"),
        "nothing inside": (b"", "announces more bytes"),
        "wrong magic": (stream(raw, 4, magic=7), "not in the storage format"),
        "wrong version": (stream(raw, 4, version=1002), "not in the storage format"),
        "big endian": (stream(raw, 4, little_endian=False), "big-endian"),
        "two keys": (stream(raw, 4, keys=("94001", "94002")), "list of storages"),
        "other key": (stream(raw, 4, keys=("94002",)), "list of storages"),
        "two sizes": (stream(raw, 4, announced=5), "two different sizes"),
        "negative size": (stream(raw, -1), "is not a size"),
        "10 GB": (stream(raw, 10**10), "announces 40000000000 bytes and holds 16"),
        "too short": (stream(raw[:-1], 4), "announces 16 bytes and holds 15"),
        "too long": (stream(raw + b"x", 4), "announces 16 bytes and holds 17"),
        "other width": (stream(raw, 4, kind="DoubleStorage"), "announces 32 bytes and holds 16"),
        "cut header": (start[:100], "announces more bytes"),
        "not a bool": (stream(bytes([0, 1, 2, 1]), 4, kind="BoolStorage"), "truth values"),
    }
    return [Case(f"tensor: {name}", checkpoint(value=body), says) for name, (body, says) in views.items()] + [
        Case(f"storage: {name}", stored(data), says) for name, (data, says) in storages.items()
    ]


def _many_views() -> bytes:
    """One storage of a megabyte as two hundred tensors."""
    storage = call("torch.storage", "_load_from_bytes", blob(stream(bytes(2**20), 2**18))) + pickle.MEMOIZE
    first = tensor(storage, size=numbers(2**18))
    return several(first, *[tensor(pickle.BINGET + b"\x00", size=numbers(2**18))] * 200)


def content_cases() -> list[Case]:
    """Well-formed pickles whose content is no checkpoint."""
    official = "torch_utils.persistence", "_reconstruct_persistent_obj"
    meta = {"type": text("class"), "version": number(6), "class_name": text("A"), "state": mapping()}
    softplus = named("torch.nn.modules.activation", "Softplus") + pickle.EMPTY_TUPLE + pickle.NEWOBJ
    inside = {
        "path as class": (network(text("../../etc/passwd")), "not a class name"),
        "dotted class": (network(text("os.system")), "not a class name"),
        "two-line class": (network(text("A\nB")), "not a class name"),
        "endless class": (network(text("A" * 10_000)), "not a class name"),
        "number as class": (network(number(5)), "not a class name"),
        "persistent function": (call(*official, mapping(**meta | {"type": text("function")})), "not a network"),
        "persistent without state": (call(*official, mapping(type=text("class"))), "not a network"),
        "persistent from text": (call(*official, text("x")), "other than one dict"),
        "persistent from two": (call(*official, mapping(**meta), mapping()), "other than one dict"),
        "modules not a dict": (network(_modules=number(1)), "_modules of a TriPlaneGenerator"),
        "module is a tensor": (network(_modules=ordered(a=tensor())), "_modules of a TriPlaneGenerator"),
        "parameter is text": (network(_parameters=ordered(a=text("x"))), "_parameters of a TriPlaneGenerator"),
        "buffer is a module": (network(_buffers=ordered(a=softplus)), "_buffers of a TriPlaneGenerator"),
        "dotted parameter": (network(_parameters=ordered(**{"a.b": tensor()})), "proper name"),
        "nameless parameter": (network(_parameters=ordered(**{"": tensor()})), "proper name"),
        "transient not a set": (network(_non_persistent_buffers_set=text("x")), "is not a set"),
        "object number": (scalar("O", bytes(8)), "asks for the numpy type O"),
        "huge void number": (scalar("V9999999999", bytes(8)), "asks for the numpy type V9999999999"),
        "text number": (scalar("S8", bytes(8)), "asks for the numpy type S8"),
        "short number": (scalar("f8", bytes(7)), "wrong count"),
        "long number": (scalar("f8", bytes(10**6)), "wrong count"),
        "number order": (scalar("f8", bytes(8), several(number(3), text("^"))), "byte order"),
        "number state": (scalar("f8", bytes(8), mapping(a=number(1))), "byte order"),
        "number from text": (call("numpy.core.multiarray", "scalar", text("f8"), text("x")), "other than its bytes"),
        "dtype of dtypes": (call("numpy", "dtype", several(several(text("a"), text("f8")))), "without a name"),
    }
    whole = {
        "a list": (pickle.EMPTY_LIST, "not a dict with names"),
        "a number": (number(1), "not a dict with names"),
        "a network alone": (network(), "not a dict with names"),
        "numbers as names": (pickle.EMPTY_DICT + number(1) + network() + pickle.SETITEM, "not a dict with names"),
        "no networks": (mapping(training_set_kwargs=mapping()), "holds no networks"),
        "G is None": (mapping(G=pickle.NONE), "holds no networks"),
        "G is a number": (mapping(G=number(1)), "holds no networks"),
        "D is text beside G": (mapping(G=network(), D=text("x")), "holds no networks"),
        "no mark": (number(1) + pickle.TUPLE, "finds no mark"),
        "two values": (mapping(G=network()) * 2, "in the middle of a value"),
        "no value": (b"", "in the middle of a value"),
        "open mark": (pickle.MARK + mapping(G=network()), "in the middle of a value"),
    }
    files = {
        "protocol 0": (pickle.dumps({"G": 1}, protocol=0), "is not a pickle"),
        "protocol 6": (finish(mapping(G=network()), protocol=6), "protocol 2 to 5"),
        "protocol 1": (finish(mapping(G=network()), protocol=1), "protocol 2 to 5"),
        "one byte": (b"\x80", "announces more bytes"),
        "bytes after the end": (checkpoint() + b"x", "1 bytes follow"),
        "a second pickle after the end": (checkpoint() + finish(call("os", "system", text(TOUCH))), "bytes follow"),
    }
    return (
        [Case(f"content: {name}", checkpoint(value=body), says) for name, (body, says) in inside.items()]
        + [Case(f"content: {name}", finish(body), says) for name, (body, says) in whole.items()]
        + [Case(f"file: {name}", data, says) for name, (data, says) in files.items()]
    )
