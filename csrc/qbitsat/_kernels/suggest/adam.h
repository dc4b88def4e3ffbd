/* The steps of descents, one node after the other or side by side. */
#ifndef QBITSAT_ADAM_H
#define QBITSAT_ADAM_H

/* How much of the last point stays in the running means of points, gradients and squares. */
#define MEAN_STEPS 16
#define FIRST_MOMENT 0.3f
#define SECOND_MOMENT 0.1f

/* No step is smaller than this share of the mean one: a neuron whose relaxation is exact now may need a multiplier later. */
#define LEAST_STEP 1e-3f

/* Polishing starts again from the best multipliers, with steps too small to lose them and of no use for the means. */
#define POLISH_RATE 0.02f
#define POLISH_DECAY 0.93f

/* A value counts as below 0 if it is so by this share of the terms that it is the sum of: the rest is rounding. */
#define NOISE 1e-6f

#endif
