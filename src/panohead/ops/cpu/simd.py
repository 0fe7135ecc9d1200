"""Machine vectors inside numba kernels: a ``float32 x WIDTH`` type, its arithmetic, a register-blocked matrix product.

numba vectorizes plain loops only where LLVM can prove that arrays do not overlap, which it cannot for the strided
gathers of convolution kernels. Here a kernel names its vectors; LLVM only allocates registers. Offsets are in
elements, nothing is bounds-checked. Importing this module needs numba (see ``panohead.ops.cpu.jit.available``).
"""

import operator
from collections.abc import Callable
from typing import Any

import numba
import numba.extending
from llvmlite import binding, ir
from numba.core import types
from numba.extending import models, overload, register_model

intrinsic: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.extending.intrinsic

_CHOSEN = getattr(numba.config, "CPU_FEATURES", None)  # the environment's NUMBA_CPU_FEATURES
_FEATURES: str = binding.get_host_cpu_features().flatten() if _CHOSEN is None else _CHOSEN

# Vector length, and the block of the matrix product: rows x vectors accumulators must fit the register file
# (32 registers with AVX-512 and NEON, 16 with AVX2) beside one row of the right factor.
WIDTH, ROWS, VECTORS = (16, 6, 4) if "+avx512f" in _FEATURES else (8, 6, 2) if "+avx2" in _FEATURES else (4, 6, 4)
PANEL = WIDTH * VECTORS  # columns of the right factor packed side by side

_INDEX = ir.IntType(64)
_VECTOR = ir.VectorType(ir.FloatType(), WIDTH)


class _Vector(types.Type):
    """The numba type of one machine vector."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{WIDTH}")


vector = _Vector()


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    """The representation of the type: an LLVM vector, which occupies a register."""

    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, _VECTOR)


def _address(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


def _load(builder: Any, address: Any) -> Any:
    return builder.load(builder.bitcast(address, _VECTOR.as_pointer()), align=4)


def _store(builder: Any, value: Any, address: Any) -> None:
    builder.store(value, builder.bitcast(address, _VECTOR.as_pointer()), align=4)


def _splat(builder: Any, scalar: Any) -> Any:
    empty = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(empty, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH))


def _multiply_add(builder: Any, values: list[Any]) -> Any:
    """a * b + c: one fused instruction where the machine has it, else two."""
    name = f"llvm.fmuladd.v{WIDTH}f32"
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), name)
    return builder.call(function, values)


def _choose(builder: Any, relation: str, values: list[Any]) -> Any:
    """The first value where the relation holds, else the second: one instruction; a second value of NaN stays NaN."""
    return builder.select(builder.fcmp_ordered(relation, *values), *values)


@intrinsic
def load(typing_context: Any, array: Any, offset: Any) -> Any:
    """Load WIDTH consecutive elements: ``load(array, offset) -> vector``."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _load(builder, _address(context, builder, signature.args[0], *arguments))

    return vector(array, types.int64), emit


@intrinsic
def store(typing_context: Any, array: Any, offset: Any, value: Any) -> Any:
    """Store WIDTH consecutive elements: ``store(array, offset, vector)``."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _store(builder, arguments[2], _address(context, builder, signature.args[0], *arguments[:2]))
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), emit


@intrinsic
def splat(typing_context: Any, scalar: Any) -> Any:
    """Repeat a number in every lane: ``splat(scalar) -> vector``."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, arguments[0])

    return vector(types.float32), emit


def _operation(arity: int, build: Callable[[Any, list[Any]], Any]) -> Any:
    """Return a numba function of ``arity`` vectors whose result is ``build(builder, values)``."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return build(builder, list(arguments))

    if arity == 2:
        return intrinsic(lambda typing_context, a, b: (vector(vector, vector), emit))
    return intrinsic(lambda typing_context, a, b, c: (vector(vector, vector, vector), emit))


fma = _operation(3, lambda builder, values: _multiply_add(builder, values))  # a * b + c
minimum = _operation(2, lambda builder, values: _choose(builder, "<", values))
maximum = _operation(2, lambda builder, values: _choose(builder, ">", values))
_add = _operation(2, lambda builder, values: builder.fadd(*values))
_subtract = _operation(2, lambda builder, values: builder.fsub(*values))
_multiply = _operation(2, lambda builder, values: builder.fmul(*values))


# Lambdas, because numba compares the annotations of the two signatures.
overload(operator.add)(lambda a, b: (lambda a, b: _add(a, b)) if a is vector and b is vector else None)
overload(operator.sub)(lambda a, b: (lambda a, b: _subtract(a, b)) if a is vector and b is vector else None)
overload(operator.mul)(lambda a, b: (lambda a, b: _multiply(a, b)) if a is vector and b is vector else None)


def _block_product(rows_count: int, vectors: int) -> Any:
    """An intrinsic for the product of ``rows_count`` rows and a panel of ``vectors`` vectors, see below."""

    @intrinsic
    def multiply(
        typing_context: Any,
        left: Any,
        left_offset: Any,
        left_stride: Any,
        right: Any,
        right_offset: Any,
        out: Any,
        out_offset: Any,
        out_stride: Any,
        depth: Any,
    ) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, a_offset, a_stride, b, b_offset, c, c_offset, c_stride, depth = arguments
            kinds = signature.args
            first = _address(context, builder, kinds[0], a, a_offset)
            rows = [builder.gep(first, [builder.mul(a_stride, _INDEX(row))]) for row in range(rows_count)]
            panel = _address(context, builder, kinds[3], b, b_offset)
            target = _address(context, builder, kinds[5], c, c_offset)
            sums = _emit_products(builder, rows, vectors, panel, depth)
            for row in range(rows_count):
                for column in range(vectors):
                    offset = builder.add(builder.mul(c_stride, _INDEX(row)), _INDEX(column * WIDTH))
                    _store(builder, sums[row * vectors + column], builder.gep(target, [offset]))
            return context.get_dummy_value()

        index = types.int64
        return types.void(left, index, index, right, index, out, index, index, index), emit

    return multiply


def _emit_products(builder: Any, rows: list[Any], vectors: int, panel: Any, depth: Any) -> list[Any]:
    """The loop over depth: rows x vectors accumulators in registers, one fused multiply-add each per step."""
    before, loop, after = builder.block, builder.append_basic_block("depth"), builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    step = builder.phi(_INDEX)
    step.add_incoming(_INDEX(0), before)
    # Phi nodes: zero on entry, the previous sum afterwards; LLVM keeps them in registers.
    sums = [builder.phi(_VECTOR) for _ in range(len(rows) * vectors)]
    offset = builder.mul(step, _INDEX(vectors * WIDTH))
    columns = [_load(builder, builder.gep(panel, [builder.add(offset, _INDEX(v * WIDTH))])) for v in range(vectors)]
    # sums[row, v] += left[row, step] * right[step, v]
    updated = []
    for row in range(len(rows)):
        factor = _splat(builder, builder.load(builder.gep(rows[row], [step]), align=4))
        updated += [_multiply_add(builder, [factor, columns[v], sums[row * vectors + v]]) for v in range(vectors)]
    for value, new in zip(sums, updated, strict=True):
        value.add_incoming(ir.Constant(_VECTOR, [0.0] * WIDTH), before)
        value.add_incoming(new, loop)
    following = builder.add(step, _INDEX(1))
    step.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
    builder.position_at_end(after)
    return updated


multiply_block = _block_product(ROWS, VECTORS)
"""``multiply_block(left, offset, stride, right, offset, out, offset, stride, depth)``: ``out[ROWS, PANEL] = left[ROWS,
depth] @ right[depth, PANEL]``; ``right`` is contiguous, rows have strides.

The sums run over depth in order in one accumulator each, so the result does not depend on how a matrix is cut into
blocks or threads.
"""

NARROW_PANEL = PANEL // 2
multiply_narrow_block = _block_product(ROWS, VECTORS // 2)
"""The same with half as many columns, for matrices of few."""
