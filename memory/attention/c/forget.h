// Ends a number type: the next one defines the same names.

#undef VEC
#undef INTS
#undef NUMBER
#undef INTEGER
#undef NAME
#undef LANES
#undef LARGE
#undef EXP_LEAST
#undef EXP_ROUNDER
#undef EXP_TERMS
#undef EXP_BIAS
#undef EXP_SHIFT
