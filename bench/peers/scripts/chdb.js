// Runs SQL in ClickHouse, embedded in this process, with two threads.
//
//   node chdb.js [--do SQL]... [--query SQL]
//
// Statements of --do run once, in their order. The query then runs once to
// warm up and three times on the clock, "@ query SECONDS" each.
const fs = require('fs');
const path = require('path');
const { Session } = require('chdb');

const folder = fs.mkdtempSync(path.join(process.env.PEERS_TEMP, 'chdb-'));
const session = new Session(folder);
let status = 0;
try {
  const statements = [];
  let query;
  for (let args = process.argv.slice(2); args.length > 0; args = args.slice(2)) {
    if (args[0] === '--do') statements.push(args[1]);
    else if (args[0] === '--query') query = args[1];
    else throw new Error(`unknown flag ${args[0]}`);
  }
  for (const sql of statements) session.query(sql, 'CSV');
  for (let i = 0; query && i < 4; i++) {
    const began = process.hrtime.bigint();
    const answer = session.query(query, 'CSV');
    const seconds = Number(process.hrtime.bigint() - began) / 1e9;
    if (i === 0) console.log('answer', String(answer).split('\n')[0]);
    else console.log('@ query', seconds.toFixed(6));
  }
} catch (error) {
  console.error(String(error));
  status = 1;
} finally {
  session.cleanup();
  fs.rmSync(folder, { recursive: true, force: true });
}
process.exit(status);
