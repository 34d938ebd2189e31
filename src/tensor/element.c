/* The types of elements, one row each. */
#include "tensor/element.h"

#include <math.h>
#include <string.h>

static int f32_bits(double value, uint32_t *bits)
{
    const float rounded = (float)value;
    memcpy(bits, &rounded, sizeof rounded);
    return 1;
}

static int i32_bits(double value, uint32_t *bits)
{
    if (!(value >= INT32_MIN && value <= INT32_MAX) || value != floor(value)) return 0;
    const int32_t whole = (int32_t)value;
    memcpy(bits, &whole, sizeof whole);
    return 1;
}

static const struct oclin_element elements[] = {
    [OCLIN_F32] = {"f32", "float", sizeof(float), 0x7fc00000, f32_bits},
    [OCLIN_I32] = {"i32", "32-bit integer", sizeof(int32_t), 0x80000000, i32_bits},
};

const struct oclin_element *oclin_element_of(oclin_dtype dtype)
{
    const size_t row = (size_t)dtype; /* a negative number becomes a large one */
    return row < sizeof elements / sizeof *elements ? &elements[row] : NULL;
}

int64_t oclin_element_bytes(oclin_dtype dtype)
{
    return oclin_element_of(dtype)->bytes;
}
