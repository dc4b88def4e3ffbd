/* Backward checks of DRUP proofs, for hints: loops of lrat.pyx. */
#ifndef QBITSAT_LRAT_H
#define QBITSAT_LRAT_H

#include <stdint.h>

typedef struct lrat lrat_t;

/* What became of a proof: more to do; done; cut off or no proof at all; it names a variable that the CNF does not have; no clause that
   is false; a clause that does not follow by unit propagation; no memory, or more clauses than 31 bits number. */
enum { LRAT_MORE, LRAT_DONE, LRAT_CUT, LRAT_VARIABLE, LRAT_OPEN, LRAT_NOT_RUP, LRAT_NO_MEMORY };

/* NULL without memory. The clauses are zero-terminated DIMACS literals up to num_vars; the proof has to stay where it is. */
lrat_t *lrat_new(int32_t num_vars, const int32_t *clauses, int64_t size, const uint8_t *proof, int64_t bytes);
void lrat_free(lrat_t *t);

/* Work for about `visits` watched clauses, and say where it stands. */
int lrat_run(lrat_t *t, int64_t visits);

/* Of a proof that is done, in its order: `what` is LRAT_SIZES, literals and hints of each step; LRAT_LITERALS in DIMACS; or LRAT_HINTS, numbers
   of clauses, the CNF's from 0 and then the steps'. 0 without memory. */
enum { LRAT_SIZES, LRAT_LITERALS, LRAT_HINTS };
int64_t lrat_count(const lrat_t *t, int what);
int lrat_copy(lrat_t *t, int what, int32_t *target);

#endif
