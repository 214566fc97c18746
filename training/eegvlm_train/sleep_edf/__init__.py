"""What tables of real nights (Sleep-EDF Expanded) give to the simulator, to teachers and to tests.

The tables hold experts' stages and band powers of 153 nights of 78 people (Sleep-EDF Database Expanded 1.0.0:
Kemp et al. 2000; Goldberger et al. 2000, ODC-By 1.0). People 00-19 are for tests alone.
"""
