"""What the search draws from, and how the learning rate falls."""

from __future__ import annotations

# The search space (tuning/search_space.py). 1 - beta is searched on a log scale, since 0.9 -> 0.99 is as large a step
# of Adam's memory as 0.99 -> 0.999. The learning rates reach from fine corrections of ImageNet's own classifier
# (best near 3e-5 on Stanford Dogs) to a freshly drawn head (best near 2e-3).
LEARNING_RATE_RANGE = (1e-5, 1e-1)
# Fine-tuning starts from trained convolutions and a trained head; the rate is the head's, and every block has less.
# The last three blocks on Stanford Dogs, best validation top-1: 80 % at 8e-5, 78 at 1.4e-4, 70 at 1.8e-4, 1 at 8e-3.
FINETUNING_RATE_RANGE = (1e-6, 1e-3)
ONE_MINUS_BETA_1_RANGE = (1e-2, 0.5)
ONE_MINUS_BETA_2_RANGE = (1e-4, 0.1)

# The head that fine-tuning starts from: the best of a round on the frozen features. ImageNet's own columns are best
# trained further at 3e-5 on Stanford Dogs, a fresh head at 2e-3.
HEAD_FIRST_RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
HEAD_FIRST_EPOCHS = 20

# Reduce on plateau: the learning rate is multiplied by the factor after `patience` epochs in which the validation
# loss fell by less than `min_delta`. The replication says only that its rate was "dynamic"; these are Keras' own
# min_delta, and a patience short enough to act several times in 30 epochs.
PLATEAU_FACTOR = 0.5
PLATEAU_PATIENCE = 2
PLATEAU_MIN_DELTA = 1e-4

# The sampler (tuning/sampling.py). TPE models no more than 25 trials as good ones; of a long search it sees these and
# the newest, so that a draw costs the same however many trials there are.
SAMPLER_WINDOW = 256  # finished trials
SAMPLER_BEST = 25  # of these

# The pruners. The median is looked at ten times in a trial's epochs, each of which costs a millisecond, after a sixth
# of them, and only once a first round has finished; successive halving and hyperband keep one trial of three, as Li et
# al. 2018 do.
MEDIAN_STARTUP_TRIALS = 8
MEDIAN_WARMUP = 1 / 6
PRUNER_CHECKS = 10
PRUNER_REDUCTION = 3
PRUNER_RUNGS = 3  # after 2, 6 and 18 of 30 epochs; of fewer than 27 epochs one less, or the last would come too late
