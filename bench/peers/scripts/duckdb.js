// Runs SQL in DuckDB, in memory, with two threads.
//
//   node duckdb.js [--memory 512MB] [--do SQL]... [--query SQL]
//
// Statements of --do run once, in their order. The query then runs once to
// warm up and three times on the clock, "@ query SECONDS" each.
const { DuckDBInstance } = require('@duckdb/node-api');

async function main() {
  const config = { threads: '2', temp_directory: process.env.PEERS_TEMP + '/duckdb' };
  const statements = [];
  let query;
  for (let args = process.argv.slice(2); args.length > 0; args = args.slice(2)) {
    const [flag, value] = args;
    if (flag === '--memory') config.memory_limit = value;
    else if (flag === '--do') statements.push(value);
    else if (flag === '--query') query = value;
    else throw new Error(`unknown flag ${flag}`);
  }
  const instance = await DuckDBInstance.create(':memory:', config);
  const connection = await instance.connect();
  await connection.run('SET preserve_insertion_order = false');
  for (const sql of statements) await connection.run(sql);
  for (let i = 0; query && i < 4; i++) {
    const began = process.hrtime.bigint();
    const result = await connection.runAndReadAll(query);
    const seconds = Number(process.hrtime.bigint() - began) / 1e9;
    if (i === 0) console.log('answer', result.getRows().slice(0, 1).flat().map(String).join(' '));
    else console.log('@ query', seconds.toFixed(6));
  }
}

main().then(() => process.exit(0), (error) => { console.error(String(error)); process.exit(1); });
