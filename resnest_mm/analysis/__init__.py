"""What is measured, counted and drawn about models and trainings; nothing here is needed to train."""
