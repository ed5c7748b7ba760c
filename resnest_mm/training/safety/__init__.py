"""A training loses nothing and saves nothing spoiled: how it saves, stops and continues, and who may write."""
