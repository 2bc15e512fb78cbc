"""MovieLens into the folders of two parties: one knows who rated and how, the other which film it was and of what kind.

usage: ratings.py FOLDER OUT     FOLDER: ratings.csv and movies.csv as GroupLens publishes them
"""
import csv
import pathlib
import random
import sys

GENRES = ["Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama", "Fantasy", "Film-Noir",
          "Horror", "IMAX", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western", "(no genres listed)"]
LIKE = 4


def year_of(title):
    text = title.rstrip()[-5:-1]
    return (int(text) - 1980) / 20 if text.isdigit() else 0


def main():
    source, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    with (source / "movies.csv").open(newline="") as f:
        films = {r["movieId"]: (i, r) for i, r in enumerate(csv.DictReader(f))}
    with (source / "ratings.csv").open(newline="") as f:
        ratings = [r for r in csv.DictReader(f) if r["movieId"] in films]
    users = {u: i for i, u in enumerate(sorted({r["userId"] for r in ratings}, key=int))}
    random.Random(1).shuffle(ratings)
    cut = len(ratings) // 10
    for what, part in (("test", ratings[:cut]), ("train", ratings[cut:])):
        for party in ("leader", "follower-1"):
            folder = out / party
            folder.mkdir(parents=True, exist_ok=True)
            mine = random.Random(party).sample(part, int(len(part) * 0.98))
            with (folder / f"{what}.csv").open("w") as f:
                print("id,y,index" if party == "leader" else "id,index,year," + ",".join(f"g{i}" for i in range(20)), file=f)
                for r in mine:
                    row, film = films[r["movieId"]]
                    name = f"{r['userId']}-{r['movieId']}"
                    if party == "leader":
                        print(name, int(float(r["rating"]) >= LIKE), users[r["userId"]], sep=",", file=f)
                    else:
                        kinds = film["genres"].split("|")
                        print(name, row, year_of(film["title"]), *(int(g in kinds) for g in GENRES), sep=",", file=f)
            print(f"{party}: {len(mine)} {what} ratings")


main()
