// Runs one workload in Polars, with two threads.
//
//   node polars.js sort IN OUT | words IN OUT | groupby PARQUET
//                  | groupby-csv IN | join A.parquet B.parquet
//
// groupby and join load their tables first and run once to warm up; then
// three times on the clock, "@ query SECONDS" each.
process.env.POLARS_MAX_THREADS = '2'; // read when the library is loaded
process.env.POLARS_TEMP_DIR = process.env.PEERS_TEMP;
const pl = require('nodejs-polars');

// A file of lines is a CSV of one column, whose separator and quote never occur.
const lines = (file) => pl.scanCSV(file, { hasHeader: false, sep: '\x01', quoteChar: '\x02', schema: { line: pl.Utf8 } });
const streaming = { engine: 'streaming' };
const sums = (table) => table.groupBy('id').agg(pl.col('v').sum().alias('sum'), pl.col('f').mean().alias('mean'));

function timed(query) {
  for (let i = 0; i < 4; i++) {
    const began = process.hrtime.bigint();
    const answer = query();
    const seconds = Number(process.hrtime.bigint() - began) / 1e9;
    if (i === 0) console.log('answer', answer.height, answer.height === 1 ? answer.row(0).join(' ') : '');
    else console.log('@ query', seconds.toFixed(6));
  }
}

const workloads = {
  async sort(input, output) {
    const sink = lines(input).sort('line').sinkCSV(output, { includeHeader: false, quoteStyle: 'never' });
    if (sink && sink.collect) await sink.collect(streaming);
  },
  async words(input, output) {
    const counts = lines(input).select(pl.col('line').str.split(' ').alias('word')).explode('word')
      .filter(pl.col('word').neq(pl.lit(''))).groupBy('word').agg(pl.len().alias('n'));
    counts.collectSync(streaming).writeCSV(output, { includeHeader: false, separator: '\t' });
  },
  async groupby(file) {
    const table = pl.readParquet(file);
    timed(() => sums(table.lazy()).collectSync());
  },
  async 'groupby-csv'(file) {
    const schema = { id: pl.Int64, v: pl.Int64, f: pl.Float64 };
    console.log('answer', sums(pl.scanCSV(file, { schema })).collectSync(streaming).height);
  },
  async join(left, right) {
    const a = pl.readParquet(left), b = pl.readParquet(right);
    timed(() => a.lazy().join(b.lazy(), { on: 'k', how: 'inner' })
      .select(pl.len().alias('n'), pl.col('v').sum(), pl.col('w').sum()).collectSync());
  },
};

const [name, ...args] = process.argv.slice(2);
if (!workloads[name]) {
  console.error(`unknown workload ${name}`);
  process.exit(2);
}
workloads[name](...args).then(() => process.exit(0), (error) => { console.error(String(error)); process.exit(1); });
