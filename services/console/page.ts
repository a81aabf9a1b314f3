import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import { ensureWebBuilt } from './build-web.ts';

/** Serves the page: its assets carry their hash in the name and are kept, the page itself is asked for each time. */
export const addPage = async (server: FastifyInstance): Promise<void> => {
  const root = await ensureWebBuilt();
  await server.register(fastifyStatic, {
    root,
    index: ['index.html'],
    cacheControl: false,
    setHeaders: (reply, path) => {
      const isAsset = path.startsWith(join(root, 'assets'));
      reply.header('cache-control', isAsset ? 'public, max-age=31536000, immutable' : 'no-cache');
    },
  });
};
