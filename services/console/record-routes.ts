import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { ControlRecord, SecretReference, VirtualKey } from '../../schemas/control-record.ts';
import { VirtualKeySchema } from '../../schemas/control-record.ts';
import { RecordsConfigSchema } from '../../schemas/house-config.ts';
import { NameSchema } from '../../schemas/ids.ts';
import { ReckonerError } from '../platform/errors.ts';
import { ProblemError, parseRequest } from '../platform/http-server.ts';
import { createVirtualKey, hashSecret } from '../platform/virtual-key.ts';
import type { RecordWriter } from './append-records.ts';
import { appendRecords } from './append-records.ts';
import { applyRecords } from './apply-records.ts';
import { findReferenceProblems } from './core/records-plan.ts';

export interface RecordDeps extends RecordWriter {
  pepper: string;
  resolveSecret: (reference: SecretReference) => string;
}

const NewKeySchema = VirtualKeySchema.omit({ public_id: true, secret_hash: true, revoked: true });
const KeyPathSchema = z.strictObject({ id: NameSchema });

/** A key as people see it: everything but the hash. */
const showKey = ({ secret_hash: _, ...shown }: VirtualKey) => shown;

const keyRecord = (body: VirtualKey): ControlRecord => ({
  kind: 'key',
  id: body.id,
  deleted: false,
  body,
});

/** One change of records after another: each is checked against what the one before left in force. */
const createTurn = () => {
  let tail: Promise<unknown> = Promise.resolve();
  return <T>(work: () => Promise<T>): Promise<T> => {
    const run = tail.then(work);
    tail = run.catch(() => undefined);
    return run;
  };
};

const createKey = async (input: z.infer<typeof NewKeySchema>, deps: RecordDeps) => {
  if (deps.control.state.keys.has(input.id)) {
    throw new ProblemError(
      { status: 409, code: 'key-exists', title: 'The key exists' },
      `There is a key ${input.id} already. Choose another id; a revoked key's id is not used again.`,
    );
  }
  const { text, publicId, secret } = createVirtualKey();
  const body: VirtualKey = {
    ...input,
    public_id: publicId,
    secret_hash: hashSecret(secret, deps.pepper),
    revoked: false,
  };
  const none = { tenants: [], upstreams: [], routes: [], budgets: [], mappings: [] };
  const problems = findReferenceProblems({ ...none, keys: [body] }, deps.control.state);
  if (problems.length > 0) {
    throw new ReckonerError('REQUEST_INVALID', `The key was not created: ${problems.join('; ')}.`);
  }
  await appendRecords([keyRecord(body)], deps);
  return { ...showKey(body), key: text };
};

const revokeKey = async (id: string, deps: RecordDeps) => {
  const key = deps.control.state.keys.get(id);
  if (!key) {
    throw new ReckonerError(
      'NOT_FOUND',
      `There is no key ${id}. GET /api/v1/keys lists those there are.`,
    );
  }
  const body = { ...key, revoked: true };
  if (!key.revoked) await appendRecords([keyRecord(body)], deps);
  return showKey(body);
};

/** What the house agrees on, and its keys. Every change is durable and in force when it is answered. */
export const addRecordRoutes = (api: FastifyInstance, deps: RecordDeps): void => {
  const inTurn = createTurn();
  api.post('/records', async (request) => {
    const records = parseRequest(RecordsConfigSchema, request.body);
    return inTurn(() => applyRecords({ ...deps, records }));
  });
  api.get('/keys', async () => ({
    keys: [...deps.control.state.keys.values()].map(showKey).sort((a, b) => (a.id < b.id ? -1 : 1)),
  }));
  api.post('/keys', async (request, reply) => {
    const input = parseRequest(NewKeySchema, request.body);
    const made = await inTurn(() => createKey(input, deps));
    // The only time the key is shown: nothing between here and the asker may keep it.
    return reply.code(201).header('cache-control', 'no-store').send(made);
  });
  api.delete('/keys/:id', async (request) => {
    const { id } = parseRequest(KeyPathSchema, request.params);
    return inTurn(() => revokeKey(id, deps));
  });
};
