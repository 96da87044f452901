-- The SQLite file that `npm run demo -- --tools` asks about. The valley and its mills are invented.
CREATE TABLE mills (
  name TEXT NOT NULL,
  built INTEGER NOT NULL,
  closed INTEGER NOT NULL,
  wheels INTEGER NOT NULL,
  flour INTEGER NOT NULL -- tons in the best year
);
INSERT INTO mills VALUES
  ('Long Mill', 1744, 1958, 3, 940),
  ('Weir Mill', 1702, 1931, 4, 610),
  ('Abbey Mill', 1688, 1902, 2, 385),
  ('Fuller Mill', 1730, 1871, 1, 120),
  ('Stone Mill', 1761, 1947, 2, 505);
