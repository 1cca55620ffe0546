"""Runs one workload in Spark, local[2], and prints "@ query SECONDS" for it.

  spark.py sort IN OUT | words IN OUT | groupby PARQUET | groupby-csv CSV
           | join A.parquet B.parquet | pagerank CSV NODES ROUNDS
           | kmeans POINTS ROUNDS | tasks N

The session stands before the clock starts. What is cached is loaded before,
and queries over it run once to warm up and three times on the clock.
"""
import os
import sys
import time

from pyspark.sql import SparkSession, functions as F


def session():
    settings = {
        "spark.driver.memory": "8g",
        "spark.driver.maxResultSize": "4g",
        "spark.sql.shuffle.partitions": "8",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": os.environ["PEERS_TEMP"],
    }
    builder = SparkSession.builder.master("local[2]").appName("peers")
    for key, value in settings.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def clocked(action):
    began = time.monotonic()
    action()
    print("@ query", f"{time.monotonic() - began:.6f}", flush=True)


def repeated(action):
    action()
    for _ in range(3):
        clocked(action)


def discard(frame):
    """Computes every row of a frame and keeps none."""
    frame.write.format("noop").mode("overwrite").save()


def sums(frame):
    return frame.groupBy("id").agg(F.sum("v"), F.avg("f"))


def sort(spark, source, target):
    rows = spark.read.option("lineSep", "\n").text(source).orderBy("value")
    clocked(lambda: rows.write.mode("overwrite").option("lineSep", "\n").text(target))


def words(spark, source, target):
    found = spark.read.text(source).select(F.explode(F.split("value", " ")).alias("word")).where("word <> ''")
    clocked(lambda: found.groupBy("word").count().write.mode("overwrite").csv(target, sep="\t"))


def groupby(spark, source):
    rows = spark.read.parquet(source).cache()
    rows.count()
    repeated(lambda: discard(sums(rows)))


def groupby_csv(spark, source):
    clocked(lambda: discard(sums(spark.read.csv(source, header=True, schema="id bigint, v bigint, f double"))))


def join(spark, left, right):
    a, b = spark.read.parquet(left).cache(), spark.read.parquet(right).cache()
    a.count(), b.count()
    repeated(lambda: a.join(b, "k").agg(F.count("*"), F.sum("v"), F.sum("w")).collect())


def pagerank(spark, source, nodes, rounds):
    nodes = int(nodes)

    def ranks():
        links = spark.read.csv(source, header=True, schema="s int, d int").repartition("s").cache()
        out = links.groupBy("s").agg(F.count("*").alias("n")).cache()
        rank = spark.range(nodes).select(F.col("id").cast("int").alias("id"), F.lit(1.0 / nodes).alias("x"))
        for _ in range(int(rounds)):
            share = rank.join(out, rank.id == out.s).select(rank.id, (F.col("x") / F.col("n")).alias("y"))
            given = links.join(share, links.s == share.id).groupBy("d").agg(F.sum("y").alias("z"))
            rank = rank.join(given, rank.id == given.d, "left").select(
                rank.id, (F.lit(0.15 / nodes) + F.lit(0.85) * F.coalesce("z", F.lit(0.0))).alias("x")
            ).localCheckpoint()

    clocked(ranks)


def kmeans(spark, points, rounds):
    from pyspark.ml.clustering import KMeans
    from pyspark.ml.feature import VectorAssembler

    columns = [F.rand(i).alias(f"c{i}") for i in range(20)]
    frame = spark.range(int(points)).select(*columns)
    frame = VectorAssembler(inputCols=frame.columns, outputCol="features").transform(frame).select("features").cache()
    frame.count()
    clocked(lambda: KMeans(k=10, maxIter=int(rounds), tol=0.0, initMode="random", seed=1).fit(frame))


def tasks(spark, n):
    n = int(n)
    context = spark.sparkContext._jsc.sc()  # tasks of Python would cost more
    repeated(lambda: context.range(0, n, 1, n).count())


workloads = {"sort": sort, "words": words, "groupby": groupby, "groupby-csv": groupby_csv, "join": join,
             "pagerank": pagerank, "kmeans": kmeans, "tasks": tasks}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in workloads:
        sys.exit(__doc__)
    spark = session()
    try:
        workloads[sys.argv[1]](spark, *sys.argv[2:])
    except Exception as error:  # what failed, without the traces of two languages
        sys.exit("\n".join(str(error).splitlines()[:4]))
    spark.stop()
