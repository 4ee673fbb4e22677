"""Big-endian loads from a window, and copying.

Compiled, each is one unaligned machine load and a byte swap; read byte by byte, the whole walk takes a third longer (measured: 105 ns a frame
against 80). The caller has checked that the bytes are there. With NUMBA_BOUNDSCHECK=1 or NUMBA_DISABLE_JIT=1 the plain byte-wise form is used,
so that bounds checking sees every read.
"""
from __future__ import annotations

from llvmlite import ir
from numba import int64, types
from numba.core import config, cgutils
from numba.extending import intrinsic

from .jit import part


def _make(bits: int):
    @intrinsic
    def load(_typing, data, at):
        if not isinstance(data, types.Array) or data.dtype != types.uint8:
            return None

        def generate(context, builder, signature, arguments):
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            place = builder.gep(array.data, [context.cast(builder, arguments[1], signature.args[1], types.intp)])
            word = ir.IntType(bits)
            value = builder.load(builder.bitcast(place, word.as_pointer()), align=1)
            value = builder.bswap(value)
            return builder.zext(value, cgutils.intp_t) if bits < 64 else value

        return types.int64(data, at), generate

    return load


@intrinsic
def _move(_typing, target, to, source, at, length):
    def generate(context, builder, signature, arguments):
        target_array = context.make_array(signature.args[0])(context, builder, arguments[0])
        source_array = context.make_array(signature.args[2])(context, builder, arguments[2])
        as_size = [context.cast(builder, arguments[i], signature.args[i], types.intp) for i in (1, 3, 4)]
        cgutils.raw_memcpy(builder, builder.gep(target_array.data, [as_size[0]]), builder.gep(source_array.data, [as_size[1]]), as_size[2], 1)
        return context.get_dummy_value()

    return types.none(target, to, source, at, length), generate


if config.DISABLE_JIT or config.BOUNDSCHECK:  # numba's own check takes a negative place for one counted from the end, which the loads below do not
    @part
    def u16(data, at):
        """16 bits at data[at], as int64."""
        if at < 0:
            raise IndexError("load before the array")
        return (int64(data[at]) << 8) | int64(data[at + 1])

    @part
    def u32(data, at):
        """32 bits at data[at], as int64."""
        if at < 0:
            raise IndexError("load before the array")
        return (int64(data[at]) << 24) | (int64(data[at + 1]) << 16) | (int64(data[at + 2]) << 8) | int64(data[at + 3])

    @part
    def i64(data, at):
        """64 bits at data[at], as int64 (the highest bit is the sign)."""
        high = u32(data, at)
        if high & 0x80000000:
            high -= 0x100000000
        return (high << 32) | u32(data, at + 4)

    @part
    def copy(target, to, source, at, length):
        """target[to:to + length] = source[at:at + length]; both are there, and they do not overlap."""
        if length > 0 and (to < 0 or at < 0):
            raise IndexError("copy before an array")
        for i in range(length):
            target[to + i] = source[at + i]
else:
    _load16, _load32, _load64 = _make(16), _make(32), _make(64)

    @part
    def u16(data, at):
        """16 bits at data[at], as int64."""
        return _load16(data, at)

    @part
    def u32(data, at):
        """32 bits at data[at], as int64."""
        return _load32(data, at)

    @part
    def i64(data, at):
        """64 bits at data[at], as int64 (the highest bit is the sign)."""
        return _load64(data, at)

    @part
    def copy(target, to, source, at, length):
        """target[to:to + length] = source[at:at + length]; both are there, and they do not overlap."""
        if length > 0:
            _move(target, to, source, at, length)
