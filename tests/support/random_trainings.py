"""Trainings that draw random numbers in every way that a checkpoint must remember, as lines after `projects.RANDOM`."""

from __future__ import annotations

EPOCHS = 'train_cfg = dict(by_epoch=True, max_epochs=3, val_interval=1)\n'
ITERATIONS = (
    "train_cfg = dict(type='IterBasedTrainLoop', max_iters=18, val_interval=5)\n"
    "train_dataloader.update(sampler=dict(type='InfiniteSampler', shuffle=True))\n"
)
EVERY_4 = "default_hooks.update(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=4))\n"
BEST = (
    "default_hooks.update(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=5, save_best='score', "
    "rule='greater'))\n"
)
WORKERS = 'train_dataloader.update(num_workers=2)\nval_dataloader.update(num_workers=1)\n'
PERSISTENT = WORKERS + (
    'train_dataloader.update(persistent_workers=True)\nval_dataloader.update(persistent_workers=True)\n'
)
EMA = "custom_hooks = [dict(type='EMAHook', momentum=0.1)]\n"
EMA_AND_STATISTICS = (
    "custom_hooks = [dict(type='EMAHook', momentum=0.1), dict(type='resnest_mm.PreciseBNHook', num_iters=3)]\n"
)
ADAM = "optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.01), accumulative_counts=3)\n"
PLATEAU = "param_scheduler = [dict(type='ReduceOnPlateauLR', monitor='score', rule='less', patience=0, factor=0.5)]\n"

TRAININGS = {
    'epochs': EPOCHS,
    'mid-epoch': EPOCHS + EVERY_4,
    'mid-epoch, workers': EPOCHS + EVERY_4 + WORKERS,
    'mid-epoch, persistent workers': EPOCHS + EVERY_4 + PERSISTENT,
    'epochs, persistent workers': EPOCHS + PERSISTENT,
    'epochs, EMA, precise BN': EPOCHS + EMA_AND_STATISTICS,
    'epochs, accumulated gradients': EPOCHS + EVERY_4 + ADAM,
    'epochs, learning rate of the score': EPOCHS + PLATEAU,
    'iterations': ITERATIONS + EVERY_4,
    'iterations, workers': ITERATIONS + EVERY_4 + WORKERS,
    'iterations, persistent workers': ITERATIONS + EVERY_4 + PERSISTENT,
    'iterations, EMA, best': ITERATIONS + BEST + EMA,
    'iterations, precise BN, accumulated gradients': ITERATIONS + EVERY_4 + EMA_AND_STATISTICS + ADAM,
}
"""Kind of training to the lines of its config; 18 iterations each."""
