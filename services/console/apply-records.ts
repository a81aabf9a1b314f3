import type { SecretReference, VirtualKey } from '../../schemas/control-record.ts';
import { VirtualKeySchema } from '../../schemas/control-record.ts';
import type { KeyDeclaration, RecordsConfig } from '../../schemas/house-config.ts';
import { ReckonerError } from '../platform/errors.ts';
import { hashSecret, parseVirtualKey } from '../platform/virtual-key.ts';
import type { RecordWriter } from './append-records.ts';
import { appendRecords } from './append-records.ts';
import { findReferenceProblems, planRecords } from './core/records-plan.ts';

export interface ApplyRequest extends RecordWriter {
  records: RecordsConfig;
  /** The house's secret under which key secrets are hashed. */
  pepper: string;
  /** Reads a secret by reference; throws when it is not there. */
  resolveSecret: (reference: SecretReference) => string;
}

const whereOf = (reference: SecretReference): string =>
  'env' in reference ? `the environment variable ${reference.env}` : `the file ${reference.file}`;

/** A declared key as its record, or what is wrong with it. The secret goes no further than its hash. */
const hashKey = (
  declaration: KeyDeclaration,
  { pepper, resolveSecret }: Pick<ApplyRequest, 'pepper' | 'resolveSecret'>,
): VirtualKey | string => {
  const where = whereOf(declaration.secret);
  let text: string;
  try {
    text = resolveSecret(declaration.secret);
  } catch {
    return `the secret of key ${declaration.id} cannot be read from ${where}`;
  }
  const parsed = parseVirtualKey(text.trim());
  if (!parsed) {
    return `${where} holds no key of the shape rk_<12 letters or digits>_<32 letters or digits> for key ${declaration.id}`;
  }
  const { secret: _, ...rest } = declaration;
  return VirtualKeySchema.parse({
    ...rest,
    public_id: parsed.publicId,
    secret_hash: hashSecret(parsed.secret, pepper),
  });
};

/**
 * Brings the records in force up to a configuration: checks every reference, hashes key secrets, appends what differs and waits until it is
 * in force. Adds and changes, never removes; a second run changes nothing.
 * @returns `kind/id` of what changed.
 * @throws ReckonerError CONFIG_INVALID with every problem in one message; then nothing was written.
 */
export const applyRecords = async (request: ApplyRequest): Promise<{ changed: string[] }> => {
  const { records, control } = request;
  await control.caughtUp;
  const hashed = records.keys.map((declaration) => hashKey(declaration, request));
  const keys = hashed.filter((key) => typeof key !== 'string');
  const wanted = { ...records, keys };
  const problems = [
    ...hashed.filter((key) => typeof key === 'string'),
    ...findReferenceProblems(wanted, control.state),
  ];
  if (problems.length > 0) {
    throw new ReckonerError(
      'CONFIG_INVALID',
      `The records have ${problems.length} problem(s), and none was applied:\n${problems.map((problem) => `  ${problem}`).join('\n')}`,
    );
  }
  const changes = planRecords(wanted, control.state);
  await appendRecords(changes, request);
  return { changed: changes.map((record) => `${record.kind}/${record.id}`) };
};
