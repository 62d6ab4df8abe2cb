"""What the column of the model's answer answers: a module for each of its views."""
