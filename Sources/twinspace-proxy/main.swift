import Runtime

ProxyProgram.main()
