// The SDK for JavaScript v3 with an object store: node sdk.mjs BUCKET, against AWS_ENDPOINT_URL.
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import {
  CopyObjectCommand, CreateBucketCommand, DeleteBucketCommand, DeleteObjectCommand,
  DeleteObjectsCommand, GetObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client,
  paginateListObjectsV2,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';

const [, , Bucket] = process.argv;
const part = 5 << 20;

async function tryOut(client) {
  const send = (Command, input) => client.send(new Command({ Bucket, ...input }));
  await send(CreateBucketCommand);
  const put = await send(PutObjectCommand, { Key: 'a b/ü', Body: 'hello', Metadata: { c: 'd' } });
  assert.equal(put.ETag, '"5d41402abc4b2a76b9719d911017c592"');
  const got = await send(GetObjectCommand, { Key: 'a b/ü' });
  assert.equal(await got.Body.transformToString(), 'hello');
  assert.deepEqual(got.Metadata, { c: 'd' });
  const some = await send(GetObjectCommand, { Key: 'a b/ü', Range: 'bytes=1-2' });
  assert.equal(await some.Body.transformToString(), 'el');
  await assert.rejects(send(GetObjectCommand, { Key: 'none' }), { name: 'NoSuchKey' });
  await assert.rejects(send(HeadObjectCommand, { Key: 'none' }), { name: 'NotFound' });

  // A stream of unknown length, in parts.
  const blocks = Array.from({ length: 12 }, (_, at) => Buffer.alloc(1 << 20, at));
  const whole = await new Upload({
    client, params: { Bucket, Key: 'big', Body: Readable.from(blocks) }, partSize: part,
  }).done();
  assert.match(whole.ETag, /-3"$/);
  const big = await (await send(GetObjectCommand, { Key: 'big' })).Body.transformToByteArray();
  assert.ok(Buffer.from(big).equals(Buffer.concat(blocks)));

  await send(CopyObjectCommand, { Key: 'copy', CopySource: `${Bucket}/big` });
  const keys = [];
  for await (const page of paginateListObjectsV2({ client, pageSize: 1 }, { Bucket })) {
    keys.push(...page.Contents.map((one) => one.Key));
  }
  assert.deepEqual(keys, ['a b/ü', 'big', 'copy']);
  await send(DeleteObjectsCommand, { Delete: { Objects: [{ Key: 'a b/ü' }, { Key: 'copy' }] } });
  await send(DeleteObjectCommand, { Key: 'big' });
  await send(DeleteBucketCommand);
}

await tryOut(new S3Client({ forcePathStyle: true, maxAttempts: 1 }));
console.log('ok');
