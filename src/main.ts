#!/usr/bin/env node
import { asFailure } from './model/failures.ts';

process.stderr.write(`${asFailure('nothing here yet').message}\n`);
