// Rotates keys a thousand times and more, on clusters of real processes under load, while whatever can break is broken:
// the world of test/cluster/rotation.test.ts, for as long as it takes. Needs Postgres and Redis programs on this machine.
import { parseArgs } from 'node:util';
import { runWorld, sum, summarize } from '../test/cluster/world.ts';

const USAGE = `Usage: node scripts/soak_rotation.ts [--rotations N] [--clusters N] [--hours N]

  --rotations   how many activations to see, over both rings of all clusters (1000)
  --clusters    how many clusters of three instances run side by side (2)
  --hours       give up after this long (3)`;

const { values } = parseArgs({
  options: { rotations: { type: 'string', default: '1000' }, clusters: { type: 'string', default: '2' }, hours: { type: 'string', default: '3' }, help: { type: 'boolean', default: false } },
});
const [rotations, clusters, hours] = [values.rotations, values.clusters, values.hours].map(Number);

if (values.help || rotations === undefined || clusters === undefined || hours === undefined || ![rotations, clusters, hours].every((number) => number > 0)) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}

const each = Math.ceil(rotations / clusters);
const reports = await Promise.all(
  Array.from({ length: clusters }, (_, index) =>
    runWorld({ seconds: hours * 3600, rotations: each, workers: 4, pauseMs: 300, tell: (line) => { console.log(`${new Date().toISOString()} cluster ${index}, ${line}`); } }),
  ),
);

console.log(summarize(reports));
const faults = reports.flatMap(({ verificationFailures, published, unexpected }) => [...verificationFailures, ...published.faults, ...unexpected]);
for (const fault of faults) console.error(`fault: ${fault}`);
const seen = reports.reduce((all, report) => all + sum(report.rotations), 0);
if (seen < rotations) console.error(`error: ${seen} rotations, and ${rotations} were to be seen`);
process.exit(faults.length > 0 || seen < rotations ? 1 : 0);
