# frozen_string_literal: true

# Entry point of the Ruby runtime inside the jail. Speaks the lean protocol (byte table:
# src/guest/lambda/lean.h) on descriptor 3 and waits between events inside a blocking read.
# Semantics follow the public Ruby runtime interface client.

require 'json'
require_relative 'mayfly_log'

module Mayfly
  READY = 1
  INIT_ERROR = 2
  INVOKE = 3
  RESPONSE = 4
  ERROR = 5

  # One write for each small answer.
  class Channel
    def initialize(descriptor)
      @io = IO.for_fd(descriptor, 'r+b')
      @io.sync = true
      @io.close_on_exec = true # not for what the function starts
      @sequence = 0
      @input = String.new(capacity: 64 * 1024)
      @left = String.new
    end

    def receive
      head = take(12)
      length, kind, @sequence = head.unpack('L<Cx3L<')
      raise "unexpected frame of type #{kind} from the host" unless kind == INVOKE

      body = take(length)
      deadline, id, arn, trace, tenant, client, identity = body.unpack('q<S<4L<2')
      sizes = [id, arn, trace, client, identity, tenant >> 1]
      at = 24
      parts = sizes.map do |size|
        part = body.byteslice(at, size).force_encoding(Encoding::UTF_8)
        at += size
        part
      end
      [deadline, *parts, body.byteslice(at..).force_encoding(Encoding::UTF_8)]
    end

    def send(kind, label = '', body = '')
      content = kind == READY ? '' : [label.bytesize].pack('S<') + label.b + body.b
      sequence = [RESPONSE, ERROR].include?(kind) ? @sequence : 0
      @io.write([content.bytesize, kind, sequence].pack('L<L<L<') + content)
    end

    private

    def take(size)
      @left << read_some while @left.bytesize < size
      @left.slice!(0, size)
    end

    def read_some
      @io.readpartial(64 * 1024, @input)
    rescue EOFError, Errno::ECONNRESET
      exit!(0) # the host has gone
    end
  end

  class Context
    attr_reader :aws_request_id, :invoked_function_arn, :deadline_ms, :identity, :client_context,
                :log_group_name, :log_stream_name, :function_name, :memory_limit_in_mb,
                :function_version, :tenant_id

    def initialize(request_id, arn, deadline_ms, client_context, identity, tenant_id)
      @aws_request_id = request_id
      @invoked_function_arn = arn
      @deadline_ms = deadline_ms
      @client_context = client_context.empty? ? nil : JSON.parse(client_context)
      @identity = identity.empty? ? nil : JSON.parse(identity)
      @tenant_id = tenant_id.empty? ? nil : tenant_id
      @log_group_name = ENV['AWS_LAMBDA_LOG_GROUP_NAME']
      @log_stream_name = ENV['AWS_LAMBDA_LOG_STREAM_NAME']
      @function_name = ENV['AWS_LAMBDA_FUNCTION_NAME']
      @memory_limit_in_mb = ENV['AWS_LAMBDA_FUNCTION_MEMORY_SIZE']
      @function_version = ENV['AWS_LAMBDA_FUNCTION_VERSION']
    end

    def get_remaining_time_in_millis
      left = @deadline_ms - (Time.now.to_f * 1000).to_i
      left.positive? ? left : 0
    end
  end

  # "file.method" or "file.Module::Class.method".
  def self.load_handler(name)
    file, owner, method = name.split('.', 3)
    raise ArgumentError, "Invalid handler #{name}, must be of form FILENAME.METHOD" if owner.nil?

    method, owner = owner, nil if method.nil?
    root = ENV['LAMBDA_TASK_ROOT'] || Dir.pwd
    $LOAD_PATH.unshift(root)
    require File.expand_path(file, root)
    receiver = owner ? Object.const_get(owner) : TOPLEVEL_BINDING.receiver
    lambda { |event, context| receiver.send(method, event: event, context: context) }
  end

  # `kind` is where the error arose: Init, Function or Runtime.
  def self.shape(error, kind)
    trace = (error.backtrace || []).reject { |line| line.start_with?(__dir__) }
    { errorMessage: error.message, errorType: "#{kind}<#{error.class}>", stackTrace: trace }
  end

  def self.report(channel, type, error, kind)
    shape = shape(error, kind)
    Log.error(shape)
    channel.send(type, shape[:errorType], JSON.generate(shape))
  end

  def self.marshal(value)
    return [value.read, 'application/unknown'] if value.is_a?(StringIO)

    [JSON.dump(value), '']
  end

  def self.serve(channel, handler)
    loop do
      deadline, request_id, arn, trace, client, identity, tenant, payload = channel.receive
      Log.request_id = request_id
      trace.empty? ? ENV.delete('_X_AMZN_TRACE_ID') : ENV['_X_AMZN_TRACE_ID'] = trace
      begin
        context = Context.new(request_id, arn, deadline, client, identity, tenant)
        body, content_type = marshal(handler.call(JSON.parse(payload), context))
        channel.send(RESPONSE, content_type, body)
      rescue SystemExit
        raise
      rescue Exception => e # rubocop:disable Lint/RescueException
        report(channel, ERROR, e, 'Function')
      end
    end
  end

  def self.run
    channel = Channel.new(3)
    Log.setup
    begin
      handler = load_handler(ENV['_HANDLER'] || '')
    rescue SystemExit
      raise
    rescue Exception => e # rubocop:disable Lint/RescueException
      report(channel, INIT_ERROR, e, 'Init')
      exit(1)
    end
    channel.send(READY)
    serve(channel, handler)
  end
end

Mayfly.run
