import type { SecretReference, VirtualKey } from '../../schemas/control-record.ts';
import { VirtualKeySchema } from '../../schemas/control-record.ts';
import type { KeyDeclaration, RecordsConfig } from '../../schemas/house-config.ts';
import { ReckonerError } from '../platform/errors.ts';
import { hashSecret, parseVirtualKey } from '../platform/virtual-key.ts';
import type { RecordWriter } from './append-records.ts';
import { appendRecords } from './append-records.ts';
import type { RecordsInForce, WantedRecords } from './core/records-plan.ts';
import { findReferenceProblems, planRecords } from './core/records-plan.ts';

/** What is needed to turn the secret of a key into its hash. */
export interface SecretReader {
  /** The house's secret under which key secrets are hashed. */
  pepper: string;
  /** Reads a secret by reference; throws when it is not there. */
  resolveSecret: (reference: SecretReference) => string;
}

export interface ApplyRequest extends RecordWriter, SecretReader {
  records: RecordsConfig;
}

const whereOf = (reference: SecretReference): string =>
  'env' in reference ? `the environment variable ${reference.env}` : `the file ${reference.file}`;

/** A declared key as its record, or what is wrong with it. The secret goes no further than its hash. */
const hashKey = (
  declaration: KeyDeclaration,
  { pepper, resolveSecret }: SecretReader,
): VirtualKey | string => {
  let text: string;
  try {
    text = resolveSecret(declaration.secret);
  } catch (error) {
    // Such an error names the reference, never the value.
    const why = error instanceof ReckonerError ? error.message : (error as Error).name;
    return `key ${declaration.id}: ${why}`;
  }
  const parsed = parseVirtualKey(text.trim());
  if (!parsed) {
    return `key ${declaration.id}: ${whereOf(declaration.secret)} holds no key of the shape rk_<12 letters or digits>_<32 letters or digits>`;
  }
  const { secret: _, ...rest } = declaration;
  return VirtualKeySchema.parse({
    ...rest,
    public_id: parsed.publicId,
    secret_hash: hashSecret(parsed.secret, pepper),
  });
};

/**
 * What declared records would be, and everything for which they are refused: secrets of keys that cannot be read or have another shape,
 * references that lead nowhere, things declared twice. Writes nothing.
 */
export const checkRecords = (
  records: RecordsConfig,
  inForce: RecordsInForce,
  secrets: SecretReader,
): { wanted: WantedRecords; problems: string[] } => {
  const looked = records.keys.map((declaration) => ({
    declaration,
    hashed: hashKey(declaration, secrets),
  }));
  const keys = looked.map(({ hashed }) => hashed).filter((key) => typeof key !== 'string');
  const referring = looked.map(({ declaration, hashed }) =>
    typeof hashed === 'string' ? declaration : hashed,
  );
  return {
    wanted: { ...records, keys },
    problems: [
      ...looked.map(({ hashed }) => hashed).filter((key) => typeof key === 'string'),
      ...findReferenceProblems({ ...records, keys: referring }, inForce),
    ],
  };
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
  const { wanted, problems } = checkRecords(records, control.state, request);
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
