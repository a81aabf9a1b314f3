import { isIP } from 'node:net';
import type { SecretReference, Upstream } from '../../schemas/control-record.ts';
import type { ControlStateFollower } from '../platform/control-state.ts';
import type { Logger } from '../platform/logger.ts';
import { isPublicAddress } from './safe-connect.ts';
import { awsSigningOf } from './sign-aws.ts';

const isPrivateHost = (url: string): boolean => {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  return host === 'localhost' || (isIP(host) !== 0 && !isPublicAddress(host));
};

/** What will keep every call to an upstream from working, in words for its operator; nothing when all looks well. */
export const upstreamProblems = (
  upstream: Upstream,
  resolveSecret: (reference: SecretReference) => string,
): string[] => {
  const problems: string[] = [];
  if (upstream.credential) {
    try {
      awsSigningOf(upstream, resolveSecret(upstream.credential));
    } catch (error) {
      problems.push(`upstream ${upstream.id}: ${(error as Error).message}`);
    }
  }
  if (!upstream.allow_private && isPrivateHost(upstream.base_url)) {
    problems.push(
      `upstream ${upstream.id}: ${new URL(upstream.base_url).host} is not a public address, and such are refused. Set allow_private: true if it is meant.`,
    );
  }
  return problems;
};

/** Warns once of each problem of the upstreams in force, now and after every change of the records. */
export const warnOfUpstreams = (
  control: ControlStateFollower,
  resolveSecret: (reference: SecretReference) => string,
  logger: Logger,
): void => {
  const told = new Set<string>();
  const look = (): void => {
    for (const upstream of control.state.upstreams.values()) {
      for (const problem of upstreamProblems(upstream, resolveSecret)) {
        if (!told.has(problem)) logger.warn(problem);
        told.add(problem);
      }
    }
  };
  control.onChange(look);
  look();
};
