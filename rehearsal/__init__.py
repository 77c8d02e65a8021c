"""Both clouds on one machine: deploys the program as it is and plays a day through it."""
