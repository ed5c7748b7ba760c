"""The check of label maps: which values they hold, and whether these are classes of the data set and of the model.

kind.py -> listing.py: the images and maps of a data set -> reading.py: the values of a map, as mmseg loads it
        -> labels.py: the label of each value -> verdict.py: the findings about all maps
heads.py: the classes of the model; splits.py: the classes of training and validation; stuff.py: maps of detectors
"""
