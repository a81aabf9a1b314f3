import { loadConfig, processEnvironment } from '../../platform/config.ts';
import { runBackOfficeProcess } from '../back-office-process.ts';
import { describeError, exitCodeOf } from '../run-process.ts';
import { sabotageLogs } from './sabotage.ts';
import type { PipelineSabotage } from './sabotage-kinds.ts';
import { SABOTAGES, STATEMENT_SABOTAGE } from './sabotage-kinds.ts';

/** The demo's other back office: the real one, fed by a saboteur. `sabotaged-back-office.ts KIND --config FILE`. */
const [kind, , configPath] = process.argv.slice(2);
const sabotage = SABOTAGES.find(
  (known): known is PipelineSabotage => known === kind && known !== STATEMENT_SABOTAGE,
);
if (!sabotage || !configPath) {
  process.stderr.write(`expected one of ${SABOTAGES.join(', ')} and --config FILE\n`);
  process.exit(2);
}
try {
  const loaded = loadConfig(configPath, processEnvironment());
  process.exit(await runBackOfficeProcess(loaded, sabotageLogs(sabotage)));
} catch (error) {
  process.stderr.write(`${describeError(error)}\n`);
  process.exit(exitCodeOf(error));
}
