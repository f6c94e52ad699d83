"""What a run is: who comes and how often (the profile), and to which system (the target)."""
